//! Steps of a network that makes them on its own device.

use robin_core::{ExampleId, Purpose, Seed};
use robin_data::{Flip, Padding};
use robin_nn::device_resident::{ResidentAttack, ResidentCut, ResidentLoss, ResidentStart, ResidentStep};

use crate::step::perturbed_rows;
use crate::{AttackMode, AttackStart, Config, Method, Outputs, Result, Tally};

/// Whether a device can make the steps of `config`: every method whose attack sees the running statistics, on logits of classes.
/// One-vs-all losses of one network, and averages of weights, which follow every step, are made by the loop on the host,
/// whatever the network runs on.
pub(crate) fn applies(config: &Config) -> bool {
    config.outputs == Outputs::Classes
        && config.attack_mode == AttackMode::Eval
        && config.weight_averaging.is_none()
}

/// A step's settings that are made anew.
pub(crate) struct Prepared {
    labels: Vec<u32>,
    perturbed: Vec<usize>,
    cut: ResidentCut,
    attack: Option<ResidentAttack>,
    loss: ResidentLoss,
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
        let start_seed = seed.derive(Purpose::TrainingAttack, step as u64).derive(Purpose::AttackStart, 0);
        let start_at = |start: AttackStart| match start {
            AttackStart::Clean {} => ResidentStart::Clean,
            AttackStart::UniformInBall {} => ResidentStart::UniformInBall(start_seed),
            AttackStart::Gaussian { deviation } => ResidentStart::Gaussian { seed: start_seed, deviation },
        };
        let (smoothing, all) = (config.label_smoothing, 0..ids.len());
        let (loss, perturbed, attack) = match config.method {
            Method::Standard {} => (ResidentLoss::CrossEntropy { smoothing }, Vec::new(), None),
            Method::PgdAt { budget, steps, step_size, .. } => {
                let rows = perturbed_rows(ids.len(), count, (step, seed));
                let start = AttackStart::UniformInBall {};
                (ResidentLoss::CrossEntropy { smoothing }, rows, Some((budget, steps, step_size, start)))
            }
            Method::Trades { budget, steps, step_size, lambda, start } => {
                let loss = ResidentLoss::Trades { lambda, smoothing };
                (loss, all.collect(), Some((budget, steps, step_size, start)))
            }
            Method::Mart { budget, steps, step_size, lambda, start } => {
                (ResidentLoss::Mart { lambda }, all.collect(), Some((budget, steps, step_size, start)))
            }
        };
        let attack = attack.map(|(budget, steps, step_size, start)| {
            let step_size = step_size.pixels(budget.epsilon, steps)?;
            Ok::<_, crate::Error>(ResidentAttack { budget, steps, step_size, start: start_at(start) })
        });
        let attack = attack.transpose()?;
        Ok(Self { labels, perturbed, cut, attack, loss })
    }

    pub(crate) fn step<'a>(&'a self, config: &Config, ids: &'a [ExampleId], rate: f64) -> ResidentStep<'a> {
        ResidentStep {
            ids,
            labels: &self.labels,
            cut: self.cut,
            perturbed: &self.perturbed,
            attack: self.attack,
            loss: self.loss,
            sgd: [rate, config.momentum, config.weight_decay],
        }
    }

    /// Predictions of each batch, counted. The perturbed examples are in the last.
    pub(crate) fn tally(&self, classes: usize, predictions: &[Vec<u32>]) -> Tally {
        let mut tally = Tally::new(classes);
        predictions.iter().for_each(|predictions| tally.add(&self.labels, predictions));
        if let Some(predictions) = predictions.last() {
            self.perturbed.iter().for_each(|&row| tally.add_perturbed(self.labels[row], predictions[row]));
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
        assert!(applies(&Config {
            method: Method::Mart { budget, steps, step_size, lambda: 1.0, start },
            ..usual
        }));
    }
}
