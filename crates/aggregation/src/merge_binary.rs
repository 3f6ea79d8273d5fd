//! A negative control: one-vs-all behind two squashings.

use robin_core::Classifier;

use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, log_odds, log_odds_back};
use crate::{Error, Result, arms};

pub(crate) const ABOUT: About = About {
    summary: "negative control: one-vs-all behind 5 sigmoid(5 s)",
    networks: Networks::Arms,
    arms: true,
    log_odds: true,
    build: merge_binary,
};

/// Scores `5 sigmoid(5 s)`, as the defence `mergebinary` of "selfstudy-adversarial-robustness" has them
/// before its softmax. Decides like one-vs-all until its scores tie at 5 or 0, and has nearly no gradient
/// where arms are sure: gradient attacks fail on it, and it is no more robust than its arms. Never to be
/// reported as a defence.
struct MergeBinary {
    arms: usize,
}

/// The factor inside the sigmoid and before it.
const SHARPNESS: f64 = 5.0;

/// Aggregates arms in class order.
///
/// # Errors
/// [`Error::TooFewArms`], [`Error::ArmOutputs`] or [`Error::MixedOutputs`].
fn merge_binary(networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    if networks.len() < 2 {
        return Err(Error::TooFewArms { arms: networks.len() });
    }
    arms::check(&networks)?;
    let combination = MergeBinary { arms: networks.len() };
    Ok(Box::new(Combined { networks, combination }))
}

impl Combination for MergeBinary {
    fn num_classes(&self) -> usize {
        self.arms
    }

    fn networks(&self, column: usize) -> Vec<usize> {
        vec![column]
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        SHARPNESS * sigmoid(SHARPNESS * log_odds(outputs[column]))
    }

    fn pull_back(&self, column: usize, upstream: f64, outputs: &[&[f32]], gradient: &mut [Vec<f64>]) {
        let x = SHARPNESS * log_odds(outputs[column]);
        let slope = SHARPNESS * SHARPNESS * sigmoid(x) * sigmoid(-x);
        log_odds_back(upstream * slope, &mut gradient[column]);
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use robin_core::{Columns, host};
    use robin_testkit::Linear;

    use super::*;

    #[test]
    fn sure_arms_tie_and_have_no_gradient() {
        let arm = |bias: f32| Box::new(Linear::new(vec![1.0], vec![bias], [1, 1, 1])) as Box<dyn Classifier>;
        let model = merge_binary(vec![arm(60.0), arm(70.0)]).unwrap();
        let image = Tensor::from_vec(vec![0.5_f32], (1, 1, 1, 1), &Device::Cpu).unwrap();
        let pass = model.forward(&image, &Columns::All).unwrap();
        assert_eq!(pass.scores().to_vec().unwrap(), [5.0, 5.0]);
        // Arm 1 is surer, and nobody can see it.
        assert_eq!(model.predict(&image).unwrap(), [0]);
        let upstream = Tensor::from_vec(vec![1.0_f32, -1.0], (1, 2), &Device::Cpu).unwrap();
        assert_eq!(host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap(), [0.0]);
    }
}
