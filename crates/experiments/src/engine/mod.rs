//! Runs cells side by side, whatever they are and wherever their results go: a table's, a cluster's, a training's.
//!
//! One pool of threads does everything. The first threads of it are jobs: each takes one cell after the
//! other, and runs it to its end on that thread. A thread without a cell helps the cells that run, so that
//! arms run side by side, one per core, while there are several, and the last one has all cores. An [`Occupancy`] says
//! whether there is such a thread: while there is none, no loop is cut.

mod board;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use robin_core::CancelToken;
use robin_core::occupancy::Occupancy;
use robin_nn::Executor;
use robin_training::{Checkpointing, SaveToken};
use serde_json::{Map, Value, json};

use crate::cell::network::weights_sha256;
use crate::cell::{Cell, Context, TrainedNetwork};
use crate::observer::Watched;
use crate::record::Record;
use crate::shelf::{Shelf, Start};
use crate::threads::{jobs, pool, threads};
use crate::{Environment, Error, Observer, Result};
use board::Board;

/// How cells are run. Nothing here moves a result.
pub struct Options<'a> {
    /// Threads of the pool that all cells share; `None` = one per core. No more than these ever compute.
    pub threads: Option<usize>,
    /// Cells that run side by side, never more than threads; `None` = one per thread.
    pub jobs: Option<usize>,
    /// Examples that are evaluated together.
    pub batch_size: usize,
    /// The least time between two checkpoints of a network in training.
    pub checkpoint_every: Duration,
    /// Asks for a stop, after a checkpoint.
    pub cancel: &'a CancelToken,
    /// Asks the networks in training for checkpoints, after which they go on.
    pub save: SaveToken,
    /// Watches.
    pub observer: &'a dyn Observer,
    /// Written beside every result.
    pub environment: &'a Environment,
}

impl Options<'_> {
    /// The usual time between two checkpoints.
    pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

    /// Examples that are usually evaluated together.
    pub const BATCH: usize = 256;
}

/// What a run has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Records of finished cells, by their positions.
    pub records: BTreeMap<usize, Record>,
    /// Label and error of every cell that failed, or whose files could not be written: then it is in `records` all the same.
    pub failures: Vec<(String, Error)>,
    /// Whether a stop was asked for before the end.
    pub cancelled: bool,
    /// Cells that this run computed.
    pub computed: usize,
}

/// What is on disk and what is not.
pub(crate) struct Present {
    pub(crate) records: BTreeMap<usize, Record>,
    /// Cells without a record.
    pub(crate) missing: BTreeSet<usize>,
}

/// Loads every record. A network without one is missing also where every evaluation of it is there: these name it, and nobody
/// could look it up.
///
/// # Errors
/// [`Error::Damaged`] for the first record that is not what was written.
pub(crate) fn present(cells: &[Cell], load: impl Fn(&Cell) -> Result<Option<Record>>) -> Result<Present> {
    let mut records = BTreeMap::new();
    for (index, cell) in cells.iter().enumerate() {
        if let Some(record) = load(cell)? {
            records.insert(index, record);
        }
    }
    let missing = (0..cells.len()).filter(|index| !records.contains_key(index)).collect();
    Ok(Present { records, missing })
}

/// Cells, and all that running them takes.
pub(crate) struct Engine<'a, S> {
    pub(crate) cells: &'a [Cell],
    pub(crate) executor: &'static dyn Executor,
    /// What is written beside every result of this run.
    pub(crate) provenance: Map<String, Value>,
    pub(crate) shelf: &'a S,
    pub(crate) options: &'a Options<'a>,
}

impl<S: Shelf> Engine<'_, S> {
    /// Runs what is missing.
    ///
    /// # Errors
    /// Options that make no sense. Cells that fail are in the outcome.
    pub(crate) fn run(&self, Present { records, missing }: Present) -> Result<Outcome> {
        let options = self.options;
        let threads = threads(options.threads)?;
        let jobs = jobs(options.jobs, threads)?;
        options.observer.begin(self.cells.len(), &missing.iter().copied().collect::<Vec<_>>());
        let board = Board::new(self.cells, records, missing);
        let (pool, occupancy) = (pool(Some(threads))?, Occupancy::new(threads));
        // Broadcast puts each job on its own thread. Work handed to the pool as tasks could be stolen by a thread
        // that only waits for a part of its own, which would then stand still until the stolen one is done.
        pool.broadcast(|thread| {
            occupancy.enter();
            if thread.index() < jobs {
                self.work(&board, &occupancy);
            }
        });
        Ok(board.into_outcome(options.cancel.is_cancelled()))
    }

    /// One job: takes the first cell whose needs are met, until none is left.
    fn work(&self, board: &Board<'_>, occupancy: &Occupancy) {
        let Options { cancel, observer, .. } = *self.options;
        while let Some(index) = board.take(cancel) {
            let cell = &self.cells[index];
            let watched = Watched { index, kind: cell.kind(), label: &cell.label };
            observer.started(&watched);
            let begin = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| occupancy.work(|| self.one(board, &watched))))
                .unwrap_or_else(|panic| Err(Error::Panic { message: panic_message(panic.as_ref()) }))
                // Libraries answer a request to stop in several ways, which all mean this.
                .map_err(|error| match cancel.is_cancelled() && !error.is_lost_file() {
                    true => Error::Cancelled,
                    false => error,
                });
            match &result {
                Ok(Done { unsaved: Some(error), .. }) => observer.failed(&watched, error),
                Ok(Done { record, .. }) => {
                    observer.finished(&watched, record, begin.elapsed().as_secs_f64());
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => observer.failed(&watched, error),
            }
            board.put(index, result);
        }
    }

    fn one(&self, board: &Board<'_>, watched: &Watched<'_>) -> Result<Done> {
        let Self { shelf, options, .. } = *self;
        let cell = &self.cells[watched.index];
        let (begun, checkpoint, logs) = match shelf.begin(cell)? {
            Start::Here { begun, checkpoint, logs } => (begun, checkpoint, logs),
            Start::Elsewhere(record) => return Ok(Done { record, unsaved: None }),
        };
        let context = Context {
            executor: self.executor,
            batch_size: options.batch_size,
            cancel: options.cancel,
            observer: options.observer,
            watched,
            checkpointing: Checkpointing {
                path: checkpoint,
                every: options.checkpoint_every,
                asked: options.save.clone(),
            },
            logs,
        };
        let begin = Instant::now();
        let computed = cell.work.run(&self.networks(cell, board)?, &context)?;
        let mut fields = Map::from_iter([("item".to_owned(), json!(cell.item))]);
        fields.extend(self.provenance.clone());
        fields.insert("label".to_owned(), json!(cell.label));
        fields.insert("seconds".to_owned(), json!(begin.elapsed().as_secs_f64()));
        fields.insert("threads".to_owned(), json!(rayon::current_num_threads()));
        fields.extend(computed.provenance);
        let record = Record {
            kind: cell.kind(),
            key: cell.key.clone(),
            settings: cell.settings(),
            results: computed.results,
            provenance: options.environment.provenance(Value::Object(fields)),
        };
        if let Err(error) = shelf.save(cell, &begun, &record, computed.weights.as_ref()) {
            // Without its files a network is no use to the cells that need it.
            return match S::SHARED || board.is_needed(watched.index) {
                true => Err(error),
                false => Ok(Done { record, unsaved: Some(computed.unsaved.unwrap_or(error)) }),
            };
        }
        let unsaved = computed.unsaved.or(shelf.release(&begun, &context.checkpointing).err());
        Ok(Done { record, unsaved })
    }

    /// The networks that `cell` needs.
    fn networks(&self, cell: &Cell, board: &Board<'_>) -> Result<Vec<TrainedNetwork<'_>>> {
        let load = |&need: &usize| {
            let cell = &self.cells[need];
            let work = cell.work.network().expect("cells need networks only");
            Ok(TrainedNetwork { work, weights: self.shelf.weights(cell, &board.weights_sha256(need)?)? })
        };
        cell.needs.iter().map(load).collect()
    }
}

/// A cell that was computed.
pub(crate) struct Done {
    record: Record,
    /// Why its files are not all on disk, or something is that should not be.
    unsaved: Option<Error>,
}

/// What a panic said.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Reads the weights that missing cells will need.
///
/// # Errors
/// [`Error::Damaged`] for the first that are not there, or not what was written.
pub(crate) fn check_weights(
    cells: &[Cell],
    present: &Present,
    load: impl Fn(&Cell, &str) -> Result<Vec<u8>>,
) -> Result<()> {
    let needed: BTreeSet<usize> =
        present.missing.iter().flat_map(|&index| cells[index].needs.iter().copied()).collect();
    for index in needed {
        if let Some(record) = present.records.get(&index) {
            load(&cells[index], weights_sha256(record)?)?;
        }
    }
    Ok(())
}
