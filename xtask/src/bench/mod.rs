//! `cargo xtask bench`: how fast this machine is, alone or against PyTorch.

mod pytorch;
mod step;

use clap::{Args, Subcommand};

/// Measures speed. Idle machine, please: every other load shows in the numbers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench step --model cnn2\n  \
    cargo xtask bench step --model cnn2 --against pytorch --python .venv/bin/python")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One adversarial training step: PGD-10 (l2) on the whole batch, then SGD
    Step(step::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Step(arguments) => step::run(arguments),
    }
}
