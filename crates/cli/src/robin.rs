//! The program `robin`: the commands without a paper, and what shells and manuals want to know of them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use robin_experiments::{Error, out};

use crate::terminal::{answer, deliver};
use crate::{exit, perform, program};

/// Adversarial robustness of image classifiers: attacks, audits with a verdict, robust training.
#[derive(Debug, Parser)]
#[command(name = "robin", bin_name = "robin", version)]
pub(crate) struct Robin {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Shared(Box<crate::Command>),
    /// Print a script that completes commands and options in a shell.
    #[command(
        after_help = "Example:\n  robin completions bash > ~/.local/share/bash-completion/completions/robin"
    )]
    Completions {
        /// Of which shell.
        shell: Shell,
    },
    /// Print a page of the manual, or write all of them.
    Man(ManArguments),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  robin man | man -l -\n  robin man audit | man -l -\n  robin man --out man/man1"
)]
pub(crate) struct ManArguments {
    /// The page of this command [default: that of the program].
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
    /// Write a page for the program and one for each command into this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// The program from its first moment to its exit code.
pub fn main() -> ExitCode {
    program::is_robin();
    let parsed = command().try_get_matches().and_then(|matches| Robin::from_arg_matches(&matches));
    let robin = match parsed {
        Ok(robin) => robin,
        Err(error) => return exit::usage(&error),
    };
    match robin.command {
        Command::Shared(command) => perform(command.usual_traces(), || command.run()),
        Command::Completions { shell } => perform("warn", || completions(shell)),
        Command::Man(arguments) => perform("warn", || manual(&arguments)),
    }
}

/// What can be said to it.
pub(crate) fn command() -> clap::Command {
    program::help_as_robin(Robin::command())
}

fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "robin", &mut script);
    let script = String::from_utf8(script).context("the script is no text")?;
    Ok(deliver(format_args!("{script}"))?)
}

fn manual(arguments: &ManArguments) -> anyhow::Result<()> {
    let pages = pages()?;
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for (name, page) in pages {
            let path = folder.join(format!("{name}.1"));
            out::write(&path, page.as_bytes())?;
            answer!("{}", path.display())?;
        }
        return Ok(());
    }
    let wanted = arguments.command.as_ref().map_or("robin".to_owned(), |command| format!("robin-{command}"));
    match pages.iter().find(|(name, _)| *name == wanted) {
        Some((_, page)) => Ok(deliver(format_args!("{page}"))?),
        None => {
            let given = arguments.command.clone().unwrap_or_default();
            let names = pages.iter().filter_map(|(name, _)| name.strip_prefix("robin-"));
            Err(Error::Unknown { what: "command", given, valid: names.collect::<Vec<_>>().join(", ") }.into())
        }
    }
}

/// Every page by its name: `robin`, `robin-audit`, `robin-data-fetch`...
pub(crate) fn pages() -> anyhow::Result<Vec<(String, String)>> {
    fn collect(command: &clap::Command, into: &mut Vec<(String, String)>) -> anyhow::Result<()> {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let mut page = Vec::new();
        Man::new(command.clone()).render(&mut page).context("cannot write the manual")?;
        into.push((name, String::from_utf8(page).context("the page is no text")?));
        let mut children = command.get_subcommands().filter(|child| child.get_name() != "help");
        children.try_for_each(|child| collect(child, into))
    }
    let mut program = command();
    // Gives every command below it its whole name.
    program.build();
    let mut pages = Vec::new();
    collect(&program, &mut pages)?;
    pages.sort();
    Ok(pages)
}
