//! `cargo xtask verify-witnesses`: adversarial examples checked from files alone.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use robin_experiments::external_model::verify;

use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::answer;

/// Which witnesses, of which classifier and images.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cargo xtask verify-witnesses found/linf-25-255/adversarial.safetensors --model cnn2-small \\\n    \
    --weights mnist.safetensors --dataset mnist --embedded\n\n\
    Exit codes: 0 every one holds, 1 some do not, or there is none.")]
pub struct Arguments {
    /// The file of witnesses that `attack --out` or `evaluate` has written.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
}

/// Checks, and prints what holds.
///
/// # Errors
/// As [`verify()`]; if a witness does not hold, or there is none.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (model, images) = (arguments.model.request(&arguments.device)?, arguments.images.request());
    let cancel = interrupt::token()?;
    let found = arguments
        .images
        .with(&cancel, |run_options| Ok(verify(&arguments.file, &model, &images, run_options)?))?;
    if arguments.images.json {
        print_json(&found)?;
    } else {
        for fault in &found.faults {
            answer!("{fault}")?;
        }
        answer!(
            "{} of {} hold, the largest perturbation is {:.6}; in 8 bits {} are misclassified, {} of them within the budget",
            found.valid,
            found.n,
            found.largest_size,
            found.rounded.misclassified,
            found.rounded.valid
        )?;
    }
    if found.n == 0 {
        bail!(
            "{} holds no witness, so nothing was verified: an attack that broke nothing writes none",
            arguments.file.display()
        );
    }
    if !found.holds() {
        bail!("{} of {} witnesses do not hold", found.n - found.valid, found.n);
    }
    Ok(())
}
