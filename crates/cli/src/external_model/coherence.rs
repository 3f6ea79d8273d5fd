//! `cargo xtask coherence`: how far the gradients of an aggregate's networks agree.

use clap::Args;
use robin_coherence::Summary;
use robin_experiments::external_model::{CoherenceReport, CoherenceRequest, coherence};

use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::{Lost, answer};

/// Which networks, and on which images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask coherence --model cnn2-small --aggregate one-vs-all --weights arm-0.safetensors ... arm-9.safetensors \\\n    \
    --dataset mnist --embedded --limit 200\n  \
    cargo xtask coherence --model myrtle --aggregate ensemble --weights a.safetensors b.safetensors c.safetensors \\\n    \
    --dataset cifar10 --limit 1000 --json\n\n\
    One-vs-all: the largest cosine between the input gradient of the true class's arm and that of another arm.\n\
    Ensemble: the largest cosine over all pairs of networks. Low values say little where gradients are tiny: their\n\
    sizes are printed too, and the same architectures with fresh weights beside it.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
    /// Bins of the histogram over [-1, 1].
    #[arg(long, value_name = "N", default_value_t = 40)]
    bins: usize,
    /// Of the untrained networks' weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Measures, and prints.
///
/// # Errors
/// As [`coherence()`].
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let request = CoherenceRequest {
        model: arguments.model.request(&arguments.device)?,
        images: arguments.images.request(),
        bins: arguments.bins,
        seed: arguments.seed,
    };
    let cancel = interrupt::token()?;
    let report = arguments.images.with(&cancel, |run_options| Ok(coherence(&request, run_options)?))?;
    match arguments.images.json {
        true => print_json(&report),
        false => Ok(print(&report)?),
    }
}

fn print(report: &CoherenceReport) -> Result<(), Lost> {
    line("networks", &report.trained)?;
    line("untrained", &report.untrained)?;
    answer!("norms of the loss's gradient on the image: smallest, median, largest")?;
    for (number, sizes) in report.trained.norms.iter().enumerate() {
        answer!("  {number:>3}  {:.3e}  {:.3e}  {:.3e}", sizes.min, sizes.median, sizes.max)?;
    }
    Ok(())
}

fn line(name: &str, summary: &Summary) -> Result<(), Lost> {
    let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.4}"));
    answer!(
        "{name}: coherence mean {}, median {}; n {}, left out {} (zero gradient) and {} (not finite)",
        number(summary.mean),
        number(summary.median),
        summary.n,
        summary.zero_gradient,
        summary.not_finite
    )
}
