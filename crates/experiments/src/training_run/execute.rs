//! All networks of a training: what is finished is kept, the rest is trained by the engine.

use std::path::Path;

use serde_json::Map;

use super::TrainingRun;
use super::folder::Folder;
use crate::engine::{Engine, Options, Outcome, present};
use crate::threads::{jobs, threads};
use crate::{Result, cost};

/// Trains what is missing of `run` below `folder`.
///
/// # Errors
/// Before the first step: options that make no sense, a folder that cannot be used or is another training's, a damaged
/// record. Networks that fail later are in the outcome.
pub fn execute(run: &TrainingRun, folder: &Path, options: &Options<'_>) -> Result<Outcome> {
    let jobs = jobs(options.jobs, threads(options.threads)?)?;
    let all = (0..run.cells.len()).collect();
    let folder = Folder::open(folder, run, cost::bytes(&run.cells, &all, jobs))?;
    let present = present(&run.cells, |cell| folder.finished(cell))?;
    let engine = Engine {
        cells: &run.cells,
        executor: run.device.executor(),
        provenance: Map::new(),
        shelf: &folder,
        options,
    };
    engine.run(present)
}
