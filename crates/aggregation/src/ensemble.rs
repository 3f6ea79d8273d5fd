//! Several networks for one task; the mean of their logits decides.

use robin_core::Classifier;

use crate::Result;
use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, common_classes};

pub(crate) const ABOUT: About = About {
    summary: "networks for the same classes, the mean of their logits decides",
    networks: Networks::Members,
    arms: false,
    log_odds: false,
    build: ensemble,
};

/// Scores are the networks' mean logits.
struct Ensemble {
    networks: usize,
    classes: usize,
}

/// Aggregates networks with the same classes.
///
/// # Errors
/// Those of [`common_classes`].
fn ensemble(networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    let combination = Ensemble { networks: networks.len(), classes: common_classes(&networks)? };
    Ok(Box::new(Combined { networks, combination }))
}

impl Combination for Ensemble {
    fn num_classes(&self) -> usize {
        self.classes
    }

    fn networks(&self, _column: usize) -> Vec<usize> {
        (0..self.networks).collect()
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        outputs.iter().map(|outputs| f64::from(outputs[column])).sum::<f64>() / self.networks as f64
    }

    fn pull_back(&self, column: usize, upstream: f64, _: &[&[f32]], gradient: &mut [Vec<f64>]) {
        gradient.iter_mut().for_each(|gradient| gradient[column] += upstream / self.networks as f64);
    }
}
