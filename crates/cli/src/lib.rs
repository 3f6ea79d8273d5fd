//! The commands that need no paper, for the program `robin` and for `cargo xtask`, which has those of the paper too.
//!
//! ```
//! use clap::Parser;
//!
//! #[derive(Parser)]
//! struct Program {
//!     #[command(subcommand)]
//!     command: robin_cli::Command,
//! }
//!
//! let program = Program::try_parse_from(["program", "list", "attacks"])?;
//! program.command.run().expect("the list is printed");
//! # Ok::<_, clap::Error>(())
//! ```
//!
//! Reading order: [`Command`] (one `match`), [`external_model`] (networks from files, with [`external_model::audit`]), then one file per
//! command; [`terminal`] (the one place that prints), [`exit`] (what the process returns), [`program`] (how it is called).
//!
//! Invariant: a command parses, calls a library and prints; nothing is computed here.

pub mod data;
pub mod device;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod export;
pub mod external_model;
pub mod interrupt;
pub mod list;
pub mod live;
pub mod program;
pub mod report;
pub mod robin;
pub mod terminal;
#[cfg(test)]
mod tests;
pub mod train;

use std::process::ExitCode;

use clap::Subcommand;
use robin_experiments::Environment;
use tracing_subscriber::EnvFilter;

/// The commit that the program's sources are of (`build.rs` asks git for it); empty if nobody knows, as of a tarball.
pub const COMMIT: &str = env!("ROBIN_COMMIT");

/// A command without a paper.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How robust is a classifier, and can the number be believed? One page, with a verdict and an exit code.
    Audit(Box<external_model::audit::Arguments>),
    /// Attack one classifier, given by its weights.
    Attack(Box<external_model::attack::Arguments>),
    /// Evaluate one classifier in full: several attacks, their union, and the battery of sanity checks.
    Evaluate(Box<external_model::evaluate::Arguments>),
    /// Print what a classifier says to images.
    Predict(Box<external_model::predict::Arguments>),
    /// Measure how far the input gradients of an aggregate's networks agree.
    Coherence(Box<external_model::coherence::Arguments>),
    /// Check saved adversarial examples from files alone.
    VerifyWitnesses(Box<external_model::verify_witnesses::Arguments>),
    /// Train a network, or every arm of an aggregate, from settings given one by one.
    Train(Box<train::Arguments>),
    /// Write trained weights as a PyTorch state_dict, and logits to compare.
    Export(Box<export::Arguments>),
    /// Show what was reproduced as a page, and as files for papers.
    Report(Box<report::Arguments>),
    /// Get the full data sets, check them, describe them.
    Data(data::Arguments),
    /// Say what this machine has, what is missing, and what would make it faster.
    Doctor(doctor::Arguments),
    /// List what can be chosen: attacks, models, datasets, strategies, items.
    List(list::Arguments),
    /// Say what a test of the battery or a warning means, and what to do.
    Explain(explain::Arguments),
}

impl Command {
    /// What the libraries trace on standard error where `RUST_LOG` does not say.
    pub fn usual_traces(&self) -> &'static str {
        match self {
            // `train` says what its trainings warn of with the name of the network.
            Self::Train(_) => "warn,robin_training=error",
            Self::Report(_) => report::USUAL_TRACES,
            _ => "warn",
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Those of the command; [`exit::number`] knows what they mean to whoever has called.
    pub fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Audit(arguments) => external_model::audit::run(arguments),
            Self::Attack(arguments) => external_model::attack::run(arguments),
            Self::Evaluate(arguments) => external_model::evaluate::run(arguments),
            Self::Predict(arguments) => external_model::predict::run(arguments),
            Self::Coherence(arguments) => external_model::coherence::run(arguments),
            Self::VerifyWitnesses(arguments) => external_model::verify_witnesses::run(arguments),
            Self::Train(arguments) => train::run(arguments),
            Self::Export(arguments) => export::run(arguments),
            Self::Report(arguments) => report::run(arguments),
            Self::Data(arguments) => data::run(arguments),
            Self::Doctor(arguments) => doctor::run(arguments),
            Self::List(arguments) => list::run(arguments),
            Self::Explain(arguments) => explain::run(arguments),
        }
    }
}

/// Does `work` as a program does: signals ask for checkpoints, libraries trace what `usual` or `RUST_LOG` lets through, and
/// what came of it is the exit code.
pub fn perform(usual: &str, work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    // From the first moment on: elsewhere than in training, where it asks for a checkpoint, what is done is saved anyway.
    if let Err(error) = interrupt::save_token() {
        return exit::code(Err(error));
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    terminal::trace(filter);
    exit::code(work())
}

/// This machine, and the commit of this program's sources.
pub fn environment() -> Environment {
    Environment::detect((!COMMIT.is_empty()).then_some(COMMIT))
}
