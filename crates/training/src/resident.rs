//! Steps of a network that makes them on its own device.

use robin_core::{ExampleId, Purpose, Seed};
use robin_data::{Flip, Padding};
use robin_nn::resident::{ResidentAttack, ResidentCut, ResidentStep};

use crate::step::perturbed_rows;
use crate::{AttackMode, Config, Method, Outputs, Result, Tally};

/// Whether a device can make the steps of `config`: standard and adversarial training whose attack sees the running
/// statistics, on logits of classes. Other methods and losses, and averages of weights, which follow every step, are made by the loop on the host,
/// whatever the network runs on.
pub(crate) fn applies(config: &Config) -> bool {
    let method = matches!(config.method, Method::Standard {} | Method::PgdAt { .. });
    method
        && config.outputs == Outputs::Classes
        && config.attack_mode == AttackMode::Eval
        && config.weight_averaging.is_none()
}

/// A step's settings that are made anew.
pub(crate) struct Prepared {
    labels: Vec<u32>,
    perturbed: Vec<usize>,
    cut: ResidentCut,
    attack: Option<ResidentAttack>,
}

impl Prepared {
    /// Of step number `step` with `count` perturbed examples; `seed` is the epoch's. Addresses of random numbers are those
    /// of the loop on the host.
    pub(crate) fn new(
        config: &Config,
        (ids, labels): (&[ExampleId], Vec<u32>),
        count: usize,
        (step, seed): (usize, Seed),
    ) -> Result<Self> {
        let crop = seed.derive(Purpose::Crop, 0);
        let cut = ResidentCut {
            padding: config.crop_padding,
            reflect: config.padding == Padding::Reflect,
            crop: crop.derive(Purpose::Crop, 0),
            flip: (config.flip == Flip::Horizontal).then(|| crop.derive(Purpose::Flip, 0)),
        };
        let (perturbed, attack) = match &config.method {
            Method::PgdAt { budget, steps, step_size, .. } if count > 0 => {
                let rows = perturbed_rows(ids.len(), count, (step, seed));
                let start = seed.derive(Purpose::TrainingAttack, step as u64).derive(Purpose::AttackStart, 0);
                let step_size = step_size.pixels(budget.epsilon, *steps)?;
                (rows, Some(ResidentAttack { budget: *budget, steps: *steps, step_size, start }))
            }
            _ => (Vec::new(), None),
        };
        Ok(Self { labels, perturbed, cut, attack })
    }

    pub(crate) fn step<'a>(&'a self, config: &Config, ids: &'a [ExampleId], rate: f64) -> ResidentStep<'a> {
        ResidentStep {
            ids,
            labels: &self.labels,
            cut: self.cut,
            perturbed: &self.perturbed,
            attack: self.attack,
            smoothing: config.label_smoothing,
            sgd: [rate, config.momentum, config.weight_decay],
        }
    }

    /// Predictions of all examples, counted.
    pub(crate) fn tally(&self, classes: usize, predictions: &[u32]) -> Tally {
        let mut tally = Tally::new(classes);
        tally.add(&self.labels, predictions);
        for &row in &self.perturbed {
            tally.add_perturbed(self.labels[row], predictions[row]);
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use robin_attacks::StepSize;
    use robin_core::{Budget, Norm};

    use super::*;
    use crate::config::tests::paper;
    use crate::{AttackStart, Proportion, WeightAveraging};

    #[test]
    fn a_device_makes_no_step_that_it_would_make_otherwise() {
        let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse().unwrap() };
        let (steps, step_size) = (10, StepSize::STANDARD);
        let method = Method::PgdAt { budget, steps, step_size, proportion: Proportion::All };
        let usual = Config { method, ..paper(1) };
        assert!(applies(&usual));
        assert!(applies(&Config { method: Method::Standard {}, ..usual.clone() }));
        assert!(!applies(&Config { outputs: Outputs::OneVsAll, ..usual.clone() }));
        assert!(!applies(&Config { attack_mode: AttackMode::Train, ..usual.clone() }));
        let average = Some(WeightAveraging { decay: 0.9 });
        assert!(!applies(&Config { weight_averaging: average, ..usual.clone() }));
        let start = AttackStart::UniformInBall {};
        assert!(!applies(&Config {
            method: Method::Mart { budget, steps, step_size, lambda: 1.0, start },
            ..usual
        }));
    }
}
