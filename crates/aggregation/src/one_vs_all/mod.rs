//! One binary classifier per class; the highest score wins.

#[cfg(test)]
mod tests;

use candle_core::Tensor;
use robin_core::{Classifier, Columns, OnDevicePgd, Pass, Result as CoreResult, Scores};

use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, log_odds, log_odds_back};
use crate::{Error, Result};

pub(crate) const ABOUT: About = About {
    summary: "ROBIN: an arm per class in class order, the highest log-odds win",
    networks: Networks::Arms,
    arms: true,
    log_odds: true,
    build: |arms| Ok(Box::new(OneVsAll::new(arms)?)),
};

/// ROBIN: arm `i` was trained to tell class `i` from all others, its score is the log-odds
/// `s_i = z_1 - z_0` (or its only output), and the prediction is the arm with the highest score (paper 4).
///
/// Scores, never probabilities, are compared and differentiated: saturated probabilities tie and have no
/// gradient. Only the arms behind the wanted columns run; arms run side by side on the ambient rayon pool,
/// and their gradients are added in arm order, so results do not depend on the number of threads.
pub struct OneVsAll {
    combined: Combined<Arms>,
    /// All arms on their device, if they are on one.
    on_device_pgd: Option<Box<dyn OnDevicePgd>>,
}

/// As many arms as classes.
struct Arms(usize);

impl Combination for Arms {
    fn num_classes(&self) -> usize {
        self.0
    }

    fn networks(&self, column: usize) -> Vec<usize> {
        vec![column]
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        log_odds(outputs[column])
    }

    fn pull_back(&self, column: usize, upstream: f64, _: &[&[f32]], gradient: &mut [Vec<f64>]) {
        log_odds_back(upstream, &mut gradient[column]);
    }
}

impl OneVsAll {
    /// Aggregates `arms`, in class order. Each has two outputs ("is another class", "is class i") or one.
    ///
    /// # Errors
    /// [`Error::TooFewArms`], [`Error::ArmOutputs`] or [`Error::MixedOutputs`]; [`Error::Device`] if a device fails.
    pub fn new(arms: Vec<Box<dyn Classifier>>) -> Result<Self> {
        if arms.len() < 2 {
            return Err(Error::TooFewArms { arms: arms.len() });
        }
        crate::arms::check(&arms)?;
        let on_device: Option<Vec<&dyn OnDevicePgd>> = arms.iter().map(|arm| arm.on_device_pgd()).collect();
        let on_device_pgd = match on_device {
            Some(all) => all[0].one_vs_all(&all)?,
            None => None,
        };
        let combination = Arms(arms.len());
        Ok(Self { combined: Combined { networks: arms, combination }, on_device_pgd })
    }

    /// The arms, in class order.
    pub fn arms(&self) -> &[Box<dyn Classifier>] {
        &self.combined.networks
    }
}

impl Classifier for OneVsAll {
    fn num_classes(&self) -> usize {
        self.combined.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        self.combined.scores(images, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> CoreResult<Box<dyn Pass + 'a>> {
        self.combined.forward(images, columns)
    }

    fn networks(&self, columns: &Columns) -> u32 {
        self.combined.networks(columns)
    }

    fn on_device_pgd(&self) -> Option<&dyn OnDevicePgd> {
        self.on_device_pgd.as_deref()
    }
}
