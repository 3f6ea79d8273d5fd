//! The training loop with the clock on.

use std::time::Instant;

use anyhow::{Context, ensure};
use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Seed};
use robin_data::{LabelMap, Sampling};
use robin_nn::Network;
use robin_training::{
    AttackMode, Config, Method, Observer, Outputs, Proportion, Schedule, StepReport, train,
};

use super::model_under_test::ModelUnderTest;
use super::repeats::Repeats;

/// Trains `network`: the seconds of each step, warm-up first.
pub(super) fn seconds(
    network: &mut dyn Network,
    labels: &LabelMap,
    subject: &ModelUnderTest,
    repeats: Repeats,
) -> anyhow::Result<Vec<f64>> {
    let cancel = CancelToken::new();
    let steps_per_epoch = subject.data.len() / subject.batch;
    let config = config(subject.budget, subject.batch, repeats.most().div_ceil(steps_per_epoch));
    let mut clock = Clock { last: Instant::now(), seconds: Vec::new(), repeats, cancel: &cancel };
    match train(network, &subject.data, labels, &config, Seed::new(0), &mut clock, &cancel) {
        Err(error) if !error.is_cancelled() => return Err(error).context("the training step failed"),
        _ => {}
    }
    ensure!(repeats.enough(&clock.seconds), "the training ended after {} steps", clock.seconds.len());
    Ok(clock.seconds)
}

/// The paper's recipe in l2, every image attacked.
fn config(budget: Budget, batch_size: usize, epochs: usize) -> Config {
    let step_size = StepSize::STANDARD;
    Config {
        method: Method::PgdAt { budget, steps: 10, step_size, proportion: Proportion::All },
        epochs,
        batch_size,
        learning_rate: 0.01,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Steps { milestones: Vec::new(), factor: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 0,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.0,
        weight_averaging: None,
        validation: None,
    }
}

/// Takes the time after each step, and stops the training after enough of them.
struct Clock<'a> {
    last: Instant,
    seconds: Vec<f64>,
    repeats: Repeats,
    cancel: &'a CancelToken,
}

impl Observer for Clock<'_> {
    fn step(&mut self, _report: &StepReport) {
        let now = Instant::now();
        self.seconds.push((now - self.last).as_secs_f64());
        self.last = now;
        if self.repeats.enough(&self.seconds) {
            self.cancel.cancel();
        }
    }
}
