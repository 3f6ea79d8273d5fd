//! The cells of a plan, with their results in the folder of the paper's tables.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::engine::{Engine, Options, Outcome, check_weights, present};
use crate::store::{Store, Writer};
use crate::threads::{jobs, threads};
use crate::{Error, Plan, Result, cost};

/// Runs what is missing of `plan` below `folder`, and hands over the folder for reports.
///
/// # Errors
/// Before the first epoch: options that make no sense, a folder that cannot be used, a damaged record. Cells
/// that fail later are in the outcome.
pub fn reproduce(plan: &Plan, folder: &Path, options: &Options<'_>) -> Result<(Outcome, Writer)> {
    let jobs = jobs(options.jobs, threads(options.threads)?)?;
    Error::check_count("--batch", options.batch_size, robin_evaluation::MOST_BATCH)?;
    let store = Store::new(folder);
    let present = present(&plan.cells, |cell| store.load(cell.kind(), &cell.key))?;
    check_weights(&plan.cells, &present, |cell, sha256| store.load_weights(&cell.key, sha256))?;
    let writer = store.open(cost::bytes(&plan.cells, &present.missing, jobs))?;
    for &index in &present.missing {
        writer.store().check_targets(plan.cells[index].kind(), &plan.cells[index].key)?;
    }
    writer.check_reports(plan.items.iter().map(|item| format!("{}-{}", item.item, plan.profile)))?;
    let engine = Engine {
        cells: &plan.cells,
        executor: plan.device.executor(),
        provenance: provenance(plan),
        shelf: &writer,
        options,
    };
    let outcome = engine.run(present)?;
    Ok((outcome, writer))
}

/// What is written beside every result of a plan.
pub(crate) fn provenance(plan: &Plan) -> Map<String, Value> {
    Map::from_iter([("profile".to_owned(), json!(plan.profile.to_string()))])
}
