//! `cargo xtask bench`: how fast this machine is, alone or against PyTorch.
//!
//! `subject` says what is run, `repeats` how often, `clock` takes the time of training, `output` what becomes of the numbers; `step`, `eval`, `arms`
//! and `layers` do the work; `pytorch` has it done by another program in turn, and `published` an attack by its package.

mod arms;
mod clock;
mod eval;
mod layers;
mod model_under_test;
mod options;
mod output;
mod published;
mod pytorch;
mod repeats;
mod step;
#[cfg(test)]
mod tests;

use clap::{Args, Subcommand};

/// Measures speed. Idle machine, please: every other load shows in the numbers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench step --model myrtle\n  \
    cargo xtask bench step --model cnn2 --against pytorch --python .venv/bin/python --save crates/kernels/benchmarks\n  \
    cargo xtask bench layers --model resnet18")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One adversarial training step: PGD-10 (l2) on the whole batch, then SGD
    Step(step::Arguments),
    /// PGD-20 (l2) on a batch of images; or an attack by us and by a published package
    Eval(options::EvalArguments),
    /// Convolutions and linear layers one by one: forward, gradient on the input, gradient on the weights
    Layers(layers::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Step(arguments) => step::run(arguments),
        What::Eval(arguments) => eval::run(arguments),
        What::Layers(arguments) => layers::run(arguments),
    }
}
