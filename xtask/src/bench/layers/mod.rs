//! Speed of single layers: what a whole network's time is made of.

mod cases;
mod direction;

use anyhow::ensure;
use clap::Args;
use robin_experiments::threads::{pool, threads};
use robin_models::MODELS;
use serde_json::{Value, json};

pub(super) use cases::{Sizes, layer_cases};

use super::model_under_test::dataset_of;
use super::options::Output;
use super::output::{prepare, publish};
use direction::{DIRECTIONS, time_direction};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask bench layers --model resnet18,cnn2 --threads 1")]
pub(crate) struct Arguments {
    /// Architectures, separated by commas [default: all]
    #[arg(long, value_name = "M", value_delimiter = ',')]
    model: Vec<String>,
    /// Channels of the first convolution [default: the model's own]
    #[arg(long, value_name = "W")]
    width: Option<usize>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "T")]
    threads: Option<usize>,
    /// Images of a batch
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    prepare(&arguments.output)?;
    let (batch, threads) = (arguments.batch, threads(arguments.threads)?);
    ensure!(batch > 0, "--batch is {batch}, it must be at least 1");
    let all = || MODELS.iter().map(|entry| entry.name.to_owned()).collect();
    let models = if arguments.model.is_empty() { all() } else { arguments.model.clone() };
    let mut cases = Vec::new();
    for model in &models {
        let graph = robin_models::build(model, arguments.width, dataset_of(model)?.shape(), 10)?;
        for (name, sizes) in layer_cases(&graph) {
            if !cases.iter().any(|(_, known)| *known == sizes) {
                cases.push((format!("{model} {name}"), sizes));
            }
        }
    }

    let pool = pool(Some(threads))?;
    let mut layers = Vec::new();
    let mut text = vec![format!("GFLOP/s, batch {batch}, {threads} threads"), header()];
    for (name, sizes) in &cases {
        let mut result = json!({ "layer": name, "sizes": sizes.to_string() });
        let mut numbers = Vec::new();
        for direction in DIRECTIONS {
            let seconds = pool.install(|| time_direction(sizes, batch, direction));
            let gflops = sizes.flops() * batch as f64 / seconds / 1e9;
            result[direction.name()] = json!({ "seconds": seconds, "gflops": gflops });
            numbers.push(gflops);
        }
        text.push(row(name, sizes, &numbers));
        layers.push(result);
    }
    let result: Value = json!({ "settings": { "batch": batch, "threads": threads }, "layers": layers });
    publish(&arguments.output, &format!("layers-b{batch}-t{threads}"), result, &text.join("\n"))
}

fn header() -> String {
    let directions = DIRECTIONS.map(|direction| format!("{:>9}", direction.name()));
    format!("{:<38} {:<30}{}", "layer (the first of these sizes)", "sizes", directions.concat())
}

fn row(name: &str, sizes: &Sizes, gflops: &[f64]) -> String {
    let numbers: Vec<String> = gflops.iter().map(|number| format!("{number:>9.1}")).collect();
    format!("{name:<38} {:<30}{}", sizes.to_string(), numbers.concat())
}
