//! `cargo xtask cancel`: ends the jobs of a plan.

use std::collections::BTreeSet;

use anyhow::bail;
use clap::Args;

use super::{Submitted, slurm};
use crate::terminal::answer;

/// Of which plan.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask cancel\n\n\
    Networks in training save what they have; `cargo xtask retry` continues them. Records stay.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    submitted: Submitted,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = arguments.submitted.folder()?;
    let said = slurm::look(&folder.submissions()?)?;
    let Some(queue) = said.queue else { bail!("nothing was cancelled") };
    let jobs: BTreeSet<String> = queue.into_iter().map(|row| row.job).collect();
    if jobs.is_empty() {
        answer!("plan {} has no job in the queue", folder.id)?;
        return Ok(());
    }
    let jobs: Vec<String> = jobs.into_iter().collect();
    slurm::scancel(&jobs)?;
    answer!("plan {}: jobs {} are told to end", folder.id, jobs.join(", "))?;
    Ok(())
}
