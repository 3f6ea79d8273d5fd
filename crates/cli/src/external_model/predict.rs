//! `cargo xtask predict`: what a classifier says.

use clap::Args;
use robin_experiments::external_model::predict;

use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::answer;

/// Which classifier, and which images.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cargo xtask predict --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded --limit 20")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
}

/// Asks the classifier, and prints its answers.
///
/// # Errors
/// As [`predict()`].
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (model, images) = (arguments.model.request(&arguments.device)?, arguments.images.request());
    let cancel = interrupt::token()?;
    let report = arguments.images.with(&cancel, |run_options| Ok(predict(&model, &images, run_options)?))?;
    if arguments.images.json {
        return print_json(&report);
    }
    for (id, (prediction, label)) in report.predictions.iter().zip(&report.labels).enumerate() {
        let mark = if *prediction == u32::from(*label) { "" } else { "  wrong" };
        answer!("{id:>6}  label {label}  predicted {prediction}{mark}")?;
    }
    let (low, high) = (report.interval.low, report.interval.high);
    answer!("accuracy {:.4} [{low:.4}, {high:.4}], n {}", report.accuracy, report.n)?;
    if !report.missing_classes.is_empty() {
        let missing: Vec<String> = report.missing_classes.iter().map(ToString::to_string).collect();
        answer!("no image is of class {}: the accuracy says nothing about that", missing.join(", "))?;
    }
    Ok(())
}
