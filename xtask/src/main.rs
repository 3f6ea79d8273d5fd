//! The command line of ROBIN: parses, calls the libraries, prints. See `cargo xtask help`.

mod bench;
mod cluster;
mod data;
mod device;
mod doctor;
mod exit;
mod export;
mod fixtures;
mod foreign;
mod gpu_check;
mod interrupt;
mod live;
mod progress;
mod report;
mod reproduce;
mod selection;
mod terminal;
#[cfg(test)]
mod tests;
mod tidy;
mod train;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use robin_experiments::Environment;
use tracing_subscriber::EnvFilter;

/// Adversarial robustness of one-vs-all classifiers: the paper's tables, and the project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train, attack and print a table of the paper with the published numbers beside ours.
    Reproduce(reproduce::Arguments),
    /// Show what was reproduced as a page, and as files for papers.
    Report(report::Arguments),
    /// Hand the cells of items over to a batch system, to be run on many nodes.
    Submit(cluster::submit::Arguments),
    /// Say how far a submitted plan is.
    Status(cluster::status::Arguments),
    /// Submit again what has no record.
    Retry(cluster::submit::RetryArguments),
    /// End the jobs of a submitted plan.
    Cancel(cluster::cancel::Arguments),
    /// Run some cells of a submitted plan, as its jobs do. It understands signals of Unix.
    #[cfg(unix)]
    RunCell(cluster::run_cell::Arguments),
    /// Make tables and report of a submitted plan, as its last job does.
    Collect(cluster::collect::Arguments),
    /// Train a network, or every arm of an aggregate, from settings given one by one.
    Train(Box<train::Arguments>),
    /// Write trained weights as a PyTorch state_dict, and logits to compare.
    Export(export::Arguments),
    /// Attack one classifier, given by its weights.
    Attack(foreign::attack::Arguments),
    /// Evaluate one classifier in full: several attacks, their union, and the battery of doubts.
    Evaluate(foreign::evaluate::Arguments),
    /// Print what a classifier says to images.
    Predict(foreign::predict::Arguments),
    /// Measure how far the input gradients of an aggregate's networks agree.
    Coherence(foreign::coherence::Arguments),
    /// Check saved adversarial examples from files alone.
    VerifyWitnesses(foreign::verify_witnesses::Arguments),
    /// Say what this machine has, what is missing, and what would make it faster.
    Doctor(doctor::Arguments),
    /// Get the full data sets, check them, describe them.
    Data(data::Arguments),
    /// Make or check the data subset inside the program.
    Fixtures(fixtures::Arguments),
    /// Measure speed, alone or against PyTorch.
    Bench(bench::Arguments),
    /// Check a GPU: kernels, networks and training against the CPU, and speed, in one report.
    GpuCheck(gpu_check::Arguments),
    /// Check what the compiler cannot: layering, file sizes, the map of the crates.
    #[command(after_help = "Example:\n  cargo xtask tidy")]
    Tidy,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    // From the first moment on: elsewhere than in training, where it asks for a checkpoint, what is done is saved anyway.
    if let Err(error) = interrupt::save_token() {
        return exit::code(Err(error));
    }
    // Whoever trains says what its trainings warn of with the name of the network.
    // The renderer of the report's PNG files warns of dashes of length zero, which draw nothing.
    let usual = match cli.command {
        Command::Train(_) | Command::Reproduce(_) => "warn,robin_training=error",
        #[cfg(unix)]
        Command::RunCell(_) => "warn,robin_training=error",
        Command::Report(_) | Command::Collect(_) => "warn,tiny_skia=error",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    terminal::trace(filter);
    exit::code(match cli.command {
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Submit(arguments) => cluster::submit::run(&arguments),
        Command::Status(arguments) => cluster::status::run(&arguments),
        Command::Retry(arguments) => cluster::submit::retry(&arguments),
        Command::Cancel(arguments) => cluster::cancel::run(&arguments),
        #[cfg(unix)]
        Command::RunCell(arguments) => cluster::run_cell::run(&arguments),
        Command::Collect(arguments) => cluster::collect::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Attack(arguments) => foreign::attack::run(&arguments),
        Command::Evaluate(arguments) => foreign::evaluate::run(&arguments),
        Command::Predict(arguments) => foreign::predict::run(&arguments),
        Command::Coherence(arguments) => foreign::coherence::run(&arguments),
        Command::VerifyWitnesses(arguments) => foreign::verify_witnesses::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::GpuCheck(arguments) => gpu_check::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Fixtures(arguments) => fixtures::run(&arguments),
        Command::Tidy => tidy::run(root()),
    })
}

/// This machine, and the commit of this program's sources (`build.rs` asks git for it; a tarball has none).
fn environment() -> Environment {
    let commit = env!("ROBIN_COMMIT");
    Environment::detect((!commit.is_empty()).then_some(commit))
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
