//! What `bench step` and `bench eval` have in common on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use robin_core::Norm;
use robin_data::DatasetName;

use crate::device::DeviceArguments;

#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Architecture, with ten classes
    #[arg(long, value_name = "M", default_value = "cnn2")]
    pub(super) model: String,
    /// Built-in images: mnist or cifar10 [default: what the paper trains the model on, else cifar10]
    #[arg(long, value_name = "NAME")]
    pub(super) dataset: Option<DatasetName>,
    /// Channels of the first convolution [default: the model's own]
    #[arg(long, value_name = "W")]
    pub(super) width: Option<usize>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "T")]
    pub(super) threads: Option<usize>,
    #[command(flatten)]
    pub(super) device: DeviceArguments,
    /// Measured repetitions after the warm-up [default: 30 seconds, but at least 3 and at most 15; 2 if slow]
    #[arg(long, value_name = "R", value_parser = count)]
    pub(super) repeat: Option<usize>,
    /// Has another program do the same work in turn, and prints the ratio pair by pair
    #[arg(long, value_name = "PROGRAM")]
    pub(super) against: Option<Against>,
    /// Interpreter that has the packages of fixtures/pytorch/requirements.txt
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(super) python: PathBuf,
    /// Pairs, with --against or --arms
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = count)]
    pub(super) pairs: usize,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Of repetitions and pairs: from hundreds on a measurement is no better.
const MOST: usize = 1000;

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=MOST) => Ok(number),
        _ => Err(format!("allowed: a whole number from 1 to {MOST}")),
    }
}

/// What becomes of the numbers.
#[derive(Debug, Clone, Args)]
pub(super) struct Output {
    /// Also writes the JSON into this folder, under a name that says what was measured
    #[arg(long, value_name = "DIR")]
    pub(super) save: Option<PathBuf>,
    /// Prints JSON only
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Against {
    /// The same work written in PyTorch
    Pytorch,
    /// PGD of the package torchattacks, of `eval` only
    Torchattacks,
    /// AutoAttack of the package pyautoattack, of `eval` only
    Pyautoattack,
}

/// Of `bench eval`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench eval --model myrtle --steps 20 --against pytorch\n  \
    cargo xtask bench eval --model cnn2-small --weights trained.safetensors --images 1000 --against pyautoattack")]
pub(crate) struct EvalArguments {
    #[command(flatten)]
    pub(super) options: Options,
    /// Images that are attacked together
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) batch: usize,
    /// Steps of the attack
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(super) steps: usize,
    /// Trained weights, against torchattacks or pyautoattack
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// Built-in test images, of those that the weights get right, against torchattacks or pyautoattack
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) images: usize,
    /// How perturbations are measured, against torchattacks or pyautoattack: l2 or linf
    #[arg(long, default_value = "linf")]
    pub(super) norm: Norm,
}
