//! Seconds of one adversarial training step, measured on the training loop itself.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, DatasetName, LabelMap, Sampling, Source, Split};
use robin_nn::{Parameters, executor};
use robin_training::{Config, Method, Observer, Proportion, Schedule, StepReport, train};
use serde_json::{Value, json};

use super::pytorch;

/// Steps before the clock counts.
const WARM_UP: usize = 2;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask bench step --model cnn2 --width 16 --threads 1 --json")]
pub(crate) struct Arguments {
    /// Architecture, on MNIST-sized images with ten classes
    #[arg(long, default_value = "cnn2")]
    pub(super) model: String,
    /// Channels of the first convolution [default: the model's own]
    #[arg(long, value_name = "W")]
    pub(super) width: Option<usize>,
    /// Images of a step
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(super) batch: usize,
    /// Threads [default: one per core]
    #[arg(long, value_name = "T")]
    pub(super) threads: Option<usize>,
    /// Executor: cpu or reference
    #[arg(long, default_value = "cpu")]
    pub(super) executor: String,
    /// Measures another program in turn, and prints the ratio pair by pair
    #[arg(long, value_name = "PROGRAM")]
    pub(super) against: Option<Against>,
    /// Interpreter that has the packages of fixtures/pytorch/requirements.txt
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(super) python: PathBuf,
    /// Pairs, with --against
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) pairs: usize,
    /// Prints JSON only
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Against {
    Pytorch,
}

impl Arguments {
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (result, text) = match arguments.against {
        None => {
            let result = measure(arguments)?;
            let text = line(&format!("{} on {}", arguments.model, arguments.executor), &result);
            (result, text)
        }
        Some(Against::Pytorch) => pytorch::compare(arguments)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        println!("{text}");
    }
    Ok(())
}

/// One measurement in words.
pub(super) fn line(name: &str, result: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let seconds = &result["seconds_per_step"];
    format!(
        "{name}: {:.4} s per step (median; best {:.4}), {:.0} images per second, peak memory {:.0} MB",
        number(&seconds["median"]),
        number(&seconds["min"]),
        number(&result["images_per_second"]),
        number(&result["peak_rss_bytes"]) / 1e6,
    )
}

/// Trains one epoch with the clock on.
fn measure(arguments: &Arguments) -> anyhow::Result<Value> {
    let data = Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded)?;
    let steps = data.len() / arguments.batch.max(1);
    ensure!(
        arguments.batch > 0 && steps > WARM_UP,
        "--batch is {}, it must be from 1 to {}: the built-in images are to give {} steps",
        arguments.batch,
        data.len() / (WARM_UP + 1),
        WARM_UP + 1
    );
    let graph = robin_models::build(&arguments.model, arguments.width, data.shape(), data.num_classes())?;
    let seed = Seed::new(0);
    let mut network = executor(&arguments.executor)?.network(&graph, Parameters::initialise(&graph, seed))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads()).build()?;
    let mut clock = Clock { last: Instant::now(), seconds: Vec::new() };
    pool.install(|| {
        let (map, config) = (LabelMap::Identity, config(arguments.batch));
        train(&mut *network, &data, &map, &config, seed, &mut clock, &CancelToken::new())
    })
    .context("the training step failed")?;
    Ok(summary(clock.seconds[WARM_UP..].to_vec(), arguments.batch, peak_rss_bytes()))
}

/// The numbers that are printed for a program.
fn summary(mut seconds: Vec<f64>, batch: usize, peak_rss_bytes: Option<u64>) -> Value {
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    json!({
        "seconds_per_step": { "median": median, "min": seconds[0] },
        "images_per_second": batch as f64 / median,
        "peak_rss_bytes": peak_rss_bytes,
    })
}

/// The paper's MNIST recipe in l2, every image attacked.
fn config(batch_size: usize) -> Config {
    let budget = Budget { norm: Norm::L2, epsilon: "2.0".parse().expect("a radius") };
    let step_size = StepSize::STANDARD;
    Config {
        method: Method::PgdAt { budget, steps: 10, step_size, proportion: Proportion::All },
        epochs: 1,
        batch_size,
        learning_rate: 0.01,
        momentum: 0.9,
        weight_decay: 5e-4,
        schedule: Schedule::Steps { milestones: Vec::new(), factor: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 0,
    }
}

struct Clock {
    last: Instant,
    seconds: Vec<f64>,
}

impl Observer for Clock {
    fn step(&mut self, _report: &StepReport) {
        let now = Instant::now();
        self.seconds.push((now - self.last).as_secs_f64());
        self.last = now;
    }
}

/// The most memory that this process has held; known on Linux only.
fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_the_median_and_the_best() {
        let found = summary(vec![0.5, 0.2, 0.4], 128, None);
        assert_eq!(found["seconds_per_step"], json!({ "median": 0.4, "min": 0.2 }));
        assert_eq!(found["images_per_second"], json!(320.0));
        assert_eq!(found["peak_rss_bytes"], Value::Null);
    }
}
