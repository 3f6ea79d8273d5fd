//! Several networks for one task; the mean of their probabilities decides.

use robin_core::Classifier;

use crate::Result;
use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, common_classes, log_softmax, log_softmax_back};

pub(crate) const ABOUT: About = About {
    summary: "networks for the same classes, the mean of their probabilities decides",
    networks: Networks::Members,
    arms: false,
    log_odds: false,
    build: mixture,
};

/// Scores are the logarithms of the networks' mean probabilities, as deep ensembles predict (Lakshminarayanan et al. 2017,
/// section 2.4): a network counts by its probabilities, however large its logits are.
struct Mixture {
    networks: usize,
    classes: usize,
}

/// Aggregates networks with the same classes.
///
/// # Errors
/// Those of [`common_classes`].
fn mixture(networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    let combination = Mixture { networks: networks.len(), classes: common_classes(&networks)? };
    Ok(Box::new(Combined { networks, combination }))
}

impl Mixture {
    /// `log p(column)` of each network, and the logarithm of their sum.
    fn logs(&self, column: usize, outputs: &[&[f32]]) -> (Vec<f64>, f64) {
        let logs: Vec<f64> = outputs.iter().map(|outputs| log_softmax(outputs, column)).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = logs.iter().map(|log| (log - largest).exp()).sum::<f64>();
        (logs, largest + sum.ln())
    }
}

impl Combination for Mixture {
    fn num_classes(&self) -> usize {
        self.classes
    }

    fn networks(&self, _column: usize) -> Vec<usize> {
        (0..self.networks).collect()
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        self.logs(column, outputs).1 - (self.networks as f64).ln()
    }

    fn pull_back(&self, column: usize, upstream: f64, outputs: &[&[f32]], gradient: &mut [Vec<f64>]) {
        // Each network by its share of the sum.
        let (logs, sum) = self.logs(column, outputs);
        for ((log, outputs), gradient) in logs.iter().zip(outputs).zip(gradient) {
            log_softmax_back(outputs, column, upstream * (log - sum).exp(), gradient);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use robin_core::Columns;
    use robin_testkit::Linear;

    use super::*;

    /// One that is sure of class 0 weighs as much as its probability, however large its logit is.
    #[test]
    fn probabilities_are_averaged_and_not_logits() {
        let says = |logits: [f32; 2]| {
            Box::new(Linear::new(vec![0.0; 2], logits.to_vec(), [1, 1, 1])) as Box<dyn Classifier>
        };
        let model = mixture(vec![says([0.0, 0.5]), says([0.0, 0.5]), says([9.0, 0.0])]).unwrap();
        let images = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let scores = model.scores(&images, &Columns::All).unwrap().to_vec().unwrap();
        let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
        let first = (2.0 * sigmoid(-0.5) + sigmoid(9.0)) / 3.0;
        for (score, probability) in scores.iter().zip([first, 1.0 - first]) {
            approx::assert_abs_diff_eq!(f64::from(*score), probability.ln(), epsilon = 1e-6);
        }
        // Mean logits would be 9/7 and 6/7.
        let outvoted = mixture((0..6).map(|_| says([0.0, 1.0])).chain([says([9.0, 0.0])]).collect()).unwrap();
        assert_eq!((model.predict(&images).unwrap()[0], outvoted.predict(&images).unwrap()[0]), (0, 1));
    }
}
