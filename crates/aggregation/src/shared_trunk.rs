//! One network with a head of one output for each class.

use robin_core::Classifier;

use crate::about::{About, Networks};
use crate::combination::{Combination, Combined};
use crate::{Error, Result};

pub(crate) const ABOUT: About = About {
    summary: "one network with a head of one output per class",
    networks: Networks::Trunk,
    arms: true,
    log_odds: true,
    build: shared_trunk,
};

/// Output i is the log-odds of "is class i": trained like one-vs-all arms, computed once for all.
struct SharedTrunk {
    classes: usize,
}

/// Reads a network of k outputs as k arms.
///
/// # Errors
/// [`Error::Members`] unless there is exactly one network, with 2 outputs or more.
fn shared_trunk(networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    match networks.first().map(|network| network.num_classes()) {
        Some(classes) if classes >= 2 && networks.len() == 1 => {
            Ok(Box::new(Combined { networks, combination: SharedTrunk { classes } }))
        }
        _ => Err(Error::Members { outputs: networks.iter().map(|network| network.num_classes()).collect() }),
    }
}

impl Combination for SharedTrunk {
    fn num_classes(&self) -> usize {
        self.classes
    }

    fn networks(&self, _column: usize) -> Vec<usize> {
        vec![0]
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        f64::from(outputs[0][column])
    }

    fn pull_back(&self, column: usize, upstream: f64, _: &[&[f32]], gradient: &mut [Vec<f64>]) {
        gradient[0][column] += upstream;
    }
}
