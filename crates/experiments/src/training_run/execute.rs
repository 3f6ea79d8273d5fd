//! All arms of a training: what is finished is kept, the rest is trained side by side on one pool of threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use robin_training::{Checkpointing, EpochReport};

use super::arm::{Bench, Trained, train};
use super::folder::Folder;
use super::options::Options;
use super::{Arm, TrainingRun};
use crate::logs::Logs;
use crate::record::Record;
use crate::schedule::{panic_message, side_by_side};
use crate::threads::{jobs, threads};
use crate::{Error, Result};

/// What a training has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Records of finished arms, by their place.
    pub records: BTreeMap<usize, Record>,
    /// Name and error of every arm that failed, or whose files could not be written: then its record is known all the
    /// same.
    pub failures: Vec<(String, Error)>,
    /// Whether a stop was asked for before the end.
    pub cancelled: bool,
    /// Arms that were trained now.
    pub trained: usize,
}

/// Trains what is missing of `run` below `folder`.
///
/// # Errors
/// Before the first step: options that make no sense, a folder that cannot be used or is another training's, a damaged
/// record. Arms that fail later are in the outcome.
pub fn execute(run: &TrainingRun, folder: &Path, options: &Options<'_>) -> Result<Outcome> {
    let threads = threads(options.threads)?;
    let jobs = jobs(options.jobs, threads)?;
    let folder = Folder::open(folder, run, run.arms.iter().map(bytes).sum())?;
    let mut records = BTreeMap::new();
    let mut missing = Vec::new();
    for (place, arm) in run.arms.iter().enumerate() {
        match folder.finished(arm)? {
            Some(record) => {
                leftovers(&folder, arm, &record, options)?;
                records.insert(place, record);
            }
            None => missing.push(place),
        }
    }
    options.watch.begin(run, &missing);

    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<Trained>)>> = Mutex::default();
    side_by_side(threads, jobs, |occupancy| {
        while let Some(&place) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            if options.cancel.is_cancelled() {
                return;
            }
            let bench = Bench { run, place, folder: &folder, options };
            let result = catch_unwind(AssertUnwindSafe(|| occupancy.work(|| train(&bench))))
                .unwrap_or_else(|panic| Err(Error::Panic { message: panic_message(panic.as_ref()) }))
                .map_err(|error| match options.cancel.is_cancelled() && !error.is_lost_file() {
                    true => Error::Cancelled,
                    false => error,
                });
            match &result {
                Ok(Trained { record, unsaved: None }) => options.watch.finished(place, record),
                Ok(Trained { unsaved: Some(error), .. }) => options.watch.failed(place, error),
                Err(error) if error.is_cancelled() => {}
                Err(error) => options.watch.failed(place, error),
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    })?;

    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(place, _)| *place);
    let (mut failures, mut trained) = (Vec::new(), 0);
    for (place, result) in results {
        match result {
            Ok(Trained { record, unsaved }) => {
                records.insert(place, record);
                trained += 1;
                failures.extend(unsaved.map(|error| (run.arms[place].name.clone(), error)));
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => failures.push((run.arms[place].name.clone(), error)),
        }
    }
    let done = |name: &str| failures.iter().any(|(failed, _)| failed == name);
    let open = |place: &usize| !records.contains_key(place) && !done(&run.arms[*place].name);
    let cancelled = options.cancel.is_cancelled() && (0..run.arms.len()).any(|place| open(&place));
    Ok(Outcome { records, failures, cancelled, trained })
}

/// Removes what a run that was killed behind the arm's record has left, and makes logs whole that could not be written.
fn leftovers(folder: &Folder, arm: &Arm, record: &Record, options: &Options<'_>) -> Result<()> {
    Checkpointing::new(folder.checkpoint(&arm.name), options.checkpoint_every)
        .remove()
        .map_err(Error::work("removing the checkpoints"))?;
    let epochs: Vec<EpochReport> = serde_json::from_value(record.results["epochs"].clone())
        .map_err(|source| Error::Json { what: "the epochs of a record", source })?;
    Logs::mend(&folder.logs(), &arm.name, &epochs)
}

/// What an arm may write: weights, best weights, and three checkpoints of weights, velocities, average and best.
fn bytes(arm: &Arm) -> u64 {
    let values: usize =
        arm.work.graph.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    4 * values as u64 * (2 + 3 * 4) + (1 << 20)
}
