//! Seconds of one adversarial training step, measured on the training loop itself.

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Args;
use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Seed};
use robin_data::{LabelMap, Sampling};
use robin_nn::Network;
use robin_training::{
    AttackMode, Config, Method, Observer, Outputs, Proportion, Schedule, StepReport, train,
};
use serde_json::Value;

use super::options::{Against, Options};
use super::output::{Unit, line, peak_rss_bytes, prepare, publish, summary};
use super::repeats::Repeats;
use super::subject::Subject;
use super::{arms, pytorch};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench step --model cnn2 --width 16 --threads 1 --json\n  \
    cargo xtask bench step --model myrtle --arms 2 --threads 2")]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Images of a step
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// So many binary networks side by side, one per thread, against one of them on one thread
    #[arg(long, value_name = "K", conflicts_with = "against")]
    arms: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { options, batch, arms } = arguments;
    prepare(&options.output)?;
    let subject = Subject::new(options, *batch)?;
    let repeats = Repeats { asked: options.repeat };
    let name = format!("step-{}-w{}-b{batch}-t{}", subject.model, subject.width, subject.threads)
        + &subject.on_device();
    let (suffix, mut result, text) = match (arms, options.against) {
        (Some(count), _) => {
            let (result, text) = arms::measure(&subject, *count, options.pairs, repeats)?;
            (format!("-arms{count}"), result, text)
        }
        (None, Some(Against::Torchattacks | Against::Pyautoattack)) => {
            bail!("--against takes pytorch here: packages of attacks do not train")
        }
        (None, Some(Against::Pytorch)) => {
            let (result, text) = pytorch::compare("step", options, &subject, &[], Unit::Step)?;
            ("-pytorch".to_owned(), result, text)
        }
        (None, None) => {
            let result = measure(&subject, repeats)?;
            let text =
                line(&format!("{} on {}", subject.model, subject.executor.name()), Unit::Step, &result);
            (String::new(), result, text)
        }
    };
    result["settings"] = subject.settings();
    publish(&options.output, &(name + &suffix), result, &text)
}

fn measure(subject: &Subject, repeats: Repeats) -> anyhow::Result<Value> {
    let labels = LabelMap::Identity;
    let (graph, parameters) = subject.network(&labels, 0)?;
    let mut network = subject.executor.network(&graph, parameters)?;
    let seconds = subject.pool()?.install(|| seconds(&mut *network, &labels, subject, repeats))?;
    Ok(summary(Unit::Step, &seconds, subject.batch, peak_rss_bytes()))
}

/// Trains `network` with the clock on: the seconds of each step, warm-up first.
pub(super) fn seconds(
    network: &mut dyn Network,
    labels: &LabelMap,
    subject: &Subject,
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
