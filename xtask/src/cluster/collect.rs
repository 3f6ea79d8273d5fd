//! `cargo xtask collect`: the last job of a submission.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use robin_experiments::cluster::claim::sweep;
use robin_experiments::cluster::submission::Folder;
use robin_experiments::store::Store;
use robin_experiments::{Item, stored};

use crate::{environment, report, reproduce};

/// Of which submission.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask collect results/slurm/0123456789ab/1\n\n\
    Writes the tables that `reproduce` writes and the page of `report`, of what has a record; exit code 1 if a cell has none.")]
pub(crate) struct Arguments {
    /// Folder of a submission: OUT/slurm/PLAN/NUMBER.
    #[arg(value_name = "SUBMISSION")]
    submission: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = Folder::submission(&arguments.submission)?.folder;
    let asked = folder.asked()?;
    let plan = asked.plan(None)?;
    let outcome = stored(&plan, folder.out())?;
    let store = Store::new(folder.out());
    sweep(&store)?;
    let writer = store.open_shared(0)?;
    let environment = environment();
    for item in &plan.items {
        let item = Item::new(&plan, item, &outcome, &environment)?;
        reproduce::write_files(&item, plan.profile, &writer)?;
    }
    let missing: Vec<&str> = (plan.cells.iter().enumerate())
        .filter(|(place, _)| !outcome.records.contains_key(place))
        .map(|(_, cell)| cell.label.as_str())
        .collect();
    if outcome.records.is_empty() {
        bail!("no cell has a record");
    }
    report::run(&report::Arguments::of(&asked, folder.out())?)?;
    if let [first, ..] = missing.as_slice() {
        bail!(
            "{} of {} cells have no record, among them {first}; the report is of the others. `cargo xtask status` says why, \
             `cargo xtask retry` submits them again",
            missing.len(),
            plan.cells.len()
        );
    }
    Ok(())
}
