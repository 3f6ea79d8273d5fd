//! `cargo xtask cancel`: ends the jobs of a plan.

use clap::Args;

use super::{Submitted, slurm};

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
    let mut jobs = Vec::new();
    for submission in folder.submissions()? {
        jobs.extend(submission.jobs()?.into_values());
    }
    if jobs.is_empty() {
        println!("plan {} has no jobs", folder.id);
        return Ok(());
    }
    // Slurm takes it well that some of them are over.
    slurm::scancel(&jobs)?;
    println!("plan {}: jobs {} are told to end", folder.id, jobs.join(", "));
    Ok(())
}
