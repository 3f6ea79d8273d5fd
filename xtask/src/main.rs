//! `cargo xtask`: every command of the program `robin`, from the same code; those of the paper; and the project's chores. See
//! `cargo xtask help`.

mod bench;
mod cluster;
mod fixtures;
mod gpu_check;
mod progress;
mod reproduce;
mod selection;
#[cfg(test)]
mod tests;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use robin_cli::{data, device, environment, exit, interrupt, live, report, terminal};

/// Adversarial robustness of one-vs-all classifiers: the paper's tables, any classifier, and the project's chores.
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
    #[command(flatten)]
    Shared(Box<robin_cli::Command>),
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
    let usual = match &cli.command {
        Command::Shared(command) => command.usual_traces(),
        // Whoever trains says what its trainings warn of with the name of the network.
        Command::Reproduce(_) => "warn,robin_training=error",
        #[cfg(unix)]
        Command::RunCell(_) => "warn,robin_training=error",
        Command::Collect(_) => report::USUAL_TRACES,
        _ => "warn",
    };
    robin_cli::perform(usual, || match cli.command {
        Command::Reproduce(arguments) => reproduce::run(&arguments),
        Command::Submit(arguments) => cluster::submit::run(&arguments),
        Command::Status(arguments) => cluster::status::run(&arguments),
        Command::Retry(arguments) => cluster::submit::retry(&arguments),
        Command::Cancel(arguments) => cluster::cancel::run(&arguments),
        #[cfg(unix)]
        Command::RunCell(arguments) => cluster::run_cell::run(&arguments),
        Command::Collect(arguments) => cluster::collect::run(&arguments),
        Command::Shared(command) => command.run(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::GpuCheck(arguments) => gpu_check::run(&arguments),
        Command::Fixtures(arguments) => fixtures::run(&arguments),
        Command::Tidy => tidy::run(root()),
    })
}

/// The workspace's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}
