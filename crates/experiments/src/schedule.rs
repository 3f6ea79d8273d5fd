//! All cells of a plan: what is there is kept, the rest is run side by side.
//!
//! One pool of threads does everything. The first threads of it are jobs: each takes one cell after the
//! other, and runs it to its end on that thread. A thread without a cell helps the cells that run, so that
//! arms run side by side, one per core, while there are several, and the last one has all cores. A [`Occupancy`] says
//! whether there is such a thread: while there is none, no loop is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use robin_core::CancelToken;
use robin_core::occupancy::Occupancy;
use robin_training::{Checkpointing, SaveToken};
use serde_json::json;

use crate::cluster::claim::Claims;
use crate::observer::Watched;
use crate::plan::{Cell, NetworkWork, Plan, Work};
use crate::record::{Kind, Record};
use crate::run::{Context, evaluate, train};
use crate::store::{Store, Writer};
use crate::threads::{jobs, pool, threads};
use crate::{Environment, Error, Observer, Result, cost};

/// The least time between two checkpoints of a network in training.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// How a plan is run. Nothing here moves a result.
pub struct Options<'a> {
    /// Threads of the pool that all cells share; `None` = one per core. No more than these ever compute.
    pub threads: Option<usize>,
    /// Cells that run side by side, never more than threads; `None` = one per thread.
    pub jobs: Option<usize>,
    /// Examples that are evaluated together.
    pub batch_size: usize,
    /// Asks for a stop.
    pub cancel: &'a CancelToken,
    /// Asks the networks in training for checkpoints, after which they go on.
    pub save: SaveToken,
    /// Watches.
    pub observer: &'a dyn Observer,
    /// Written beside every result.
    pub environment: &'a Environment,
}

/// What a run has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Records of finished cells by position in [`Plan::cells`].
    pub records: BTreeMap<usize, Record>,
    /// Label and error of every cell that failed, or whose record could not be written: then it is in `records` all the
    /// same.
    pub failures: Vec<(String, Error)>,
    /// Whether a stop was asked for before the end.
    pub cancelled: bool,
    /// Cells that this run computed.
    pub computed: usize,
}

/// Runs what is missing of `plan` below `folder`, and hands over the folder for reports.
///
/// # Errors
/// Before the first epoch: options that make no sense, a folder that cannot be used, a damaged record. Cells
/// that fail later are in the outcome.
pub fn reproduce(plan: &Plan, folder: &Path, options: &Options<'_>) -> Result<(Outcome, Writer)> {
    let threads = threads(options.threads)?;
    let jobs = jobs(options.jobs, threads)?;
    Error::check_count("--batch", options.batch_size, robin_evaluation::MOST_BATCH)?;
    let store = Store::new(folder);
    let present = present(plan, &store)?;
    check_weights(plan, &store, &present)?;
    let Present { records, missing } = present;
    let writer = store.open(cost::bytes(plan, &missing, jobs.min(threads)))?;
    for &index in &missing {
        writer.store().check_targets(plan.cells[index].kind(), &plan.cells[index].key)?;
    }
    writer.check_reports(plan.items.iter().map(|item| format!("{}-{}", item.item, plan.profile)))?;
    options.observer.begin(plan.cells.len(), &missing.iter().copied().collect::<Vec<_>>());

    let board = Board::new(plan, records, missing);
    let shop = Shop { plan, board: &board, writer: &writer, claims: None, options };
    side_by_side(threads, jobs, |occupancy| work(&shop, occupancy))?;
    Ok((board.into_outcome(options.cancel.is_cancelled()), writer))
}

/// Runs the cells `missing`, each once it is claimed; `records` are those that they need.
pub(crate) fn run_claimed(
    plan: &Plan,
    (records, missing): (BTreeMap<usize, Record>, BTreeSet<usize>),
    writer: &Writer,
    claims: &Claims,
    options: &Options<'_>,
) -> Result<Outcome> {
    let threads = threads(options.threads)?;
    let jobs = jobs(options.jobs, threads)?;
    options.observer.begin(plan.cells.len(), &missing.iter().copied().collect::<Vec<_>>());
    let board = Board::new(plan, records, missing);
    let shop = Shop { plan, board: &board, writer, claims: Some(claims), options };
    side_by_side(threads, jobs, |occupancy| work(&shop, occupancy))?;
    Ok(board.into_outcome(options.cancel.is_cancelled()))
}

/// Runs `job` on the first `jobs` of `threads` threads of one pool; the others, and those whose job is over, help. A job
/// does what is its own inside [`Occupancy::work`].
pub(crate) fn side_by_side(threads: usize, jobs: usize, job: impl Fn(&Occupancy) + Sync) -> Result<()> {
    let (pool, occupancy) = (pool(Some(threads))?, Occupancy::new(threads));
    // Broadcast puts each job on its own thread. Work handed to the pool as tasks could be stolen by a thread
    // that only waits for a part of its own, which would then stand still until the stolen one is done.
    pool.broadcast(|thread| {
        occupancy.enter();
        if thread.index() < jobs {
            job(&occupancy);
        }
    });
    Ok(())
}

/// What is on disk and what is not.
pub(crate) struct Present {
    pub(crate) records: BTreeMap<usize, Record>,
    /// Cells without a record.
    pub(crate) missing: BTreeSet<usize>,
}

/// Loads every record of the plan. A network without one is missing also where every evaluation of it is there: these name it,
/// and nobody could look it up.
///
/// # Errors
/// [`Error::Damaged`] for the first record that is not what was written.
pub(crate) fn present(plan: &Plan, store: &Store) -> Result<Present> {
    let mut records = BTreeMap::new();
    for (index, cell) in plan.cells.iter().enumerate() {
        if let Some(record) = store.load(cell.kind(), &cell.key)? {
            records.insert(index, record);
        }
    }
    let missing = (0..plan.cells.len()).filter(|index| !records.contains_key(index)).collect();
    Ok(Present { records, missing })
}

/// Reads the weights that missing evaluations will need.
///
/// # Errors
/// [`Error::Damaged`] for the first that are not there, or not what was written.
fn check_weights(plan: &Plan, store: &Store, present: &Present) -> Result<()> {
    let needed: BTreeSet<usize> =
        present.missing.iter().flat_map(|&index| plan.cells[index].needs.clone()).collect();
    for index in needed {
        if let Some(record) = present.records.get(&index) {
            store.load_weights(&plan.cells[index].key, crate::run::weights_sha256(record)?)?;
        }
    }
    Ok(())
}

/// What all jobs of a run use.
struct Shop<'a> {
    plan: &'a Plan,
    board: &'a Board<'a>,
    writer: &'a Writer,
    /// Where other processes write the same cells.
    claims: Option<&'a Claims>,
    options: &'a Options<'a>,
}

/// One job: takes the first cell whose needs are met, until none is left.
fn work(shop: &Shop<'_>, occupancy: &Occupancy) {
    let Shop { plan, board, options, .. } = *shop;
    while let Some(index) = board.take(options.cancel) {
        let cell = &plan.cells[index];
        let watched = Watched { index, kind: cell.kind(), label: &cell.label };
        options.observer.started(&watched);
        let begin = Instant::now();
        let cell = || one(shop, cell, &watched);
        let result = catch_unwind(AssertUnwindSafe(|| occupancy.work(cell)))
            .unwrap_or_else(|panic| Err(Error::Panic { message: panic_message(panic.as_ref()) }))
            // Libraries answer a request to stop in several ways, which all mean this.
            .map_err(|error| match options.cancel.is_cancelled() && !error.is_lost_file() {
                true => Error::Cancelled,
                false => error,
            });
        match &result {
            Ok(Done { unsaved: Some(error), .. }) => options.observer.failed(&watched, error),
            Ok(_) => options.observer.finished(&watched, begin.elapsed().as_secs_f64()),
            Err(error) if error.is_cancelled() => {}
            Err(error) => options.observer.failed(&watched, error),
        }
        board.put(index, result);
    }
}

/// A cell that was computed.
struct Done {
    record: Record,
    /// Why its record is not on disk, or something is that should not be.
    unsaved: Option<Error>,
}

fn one(shop: &Shop<'_>, cell: &Cell, watched: &Watched<'_>) -> Result<Done> {
    let Shop { plan, board, writer, claims, options } = *shop;
    let mut checkpoint = writer.store().checkpoint_path(&cell.key);
    let mut claimed = None;
    if let Some(claims) = claims {
        let Some(claim) = claims.take(cell.kind(), &cell.key, &cell.label)? else {
            // Somebody else has finished it since this run began.
            let record = writer.store().load(cell.kind(), &cell.key)?;
            let record =
                record.ok_or_else(|| Error::Vanished { folder: writer.store().folder().to_owned() })?;
            return Ok(Done { record, unsaved: None });
        };
        if cell.kind() == Kind::Network {
            checkpoint = claims.checkpoint(&claim)?;
        }
        claimed = Some((claims, claim));
    }
    let context = Context {
        executor: plan.device.executor(),
        batch_size: options.batch_size,
        cancel: options.cancel,
        observer: options.observer,
        watched,
    };
    let checkpointing =
        Checkpointing { path: checkpoint, every: CHECKPOINT_EVERY, asked: options.save.clone() };
    let begin = Instant::now();
    let (results, weights) = match &cell.work {
        Work::Network(work) => {
            let (results, weights) = train(work, checkpointing.clone(), &context)?;
            (results, Some(weights))
        }
        Work::Evaluation(work) => {
            let networks = needed(plan, cell, board, writer)?;
            let networks: Vec<_> = networks.into_iter().map(|(work, bytes)| (&work.graph, bytes)).collect();
            (evaluate(work, &networks, &context)?, None)
        }
        Work::Study(work) => (work.run(&needed(plan, cell, board, writer)?, &context)?, None),
    };
    let provenance = options.environment.provenance(json!({
        "item": cell.item,
        "profile": plan.profile.to_string(),
        "label": cell.label,
        "seconds": begin.elapsed().as_secs_f64(),
        "threads": rayon::current_num_threads(),
    }));
    let record =
        Record { kind: cell.kind(), key: cell.key.clone(), settings: cell.settings(), results, provenance };
    if let Some((claims, claim)) = &claimed {
        claims.finish(claim)?;
    }
    let saved = writer.save(&record, weights.as_ref());
    if weights.is_none() && claimed.is_none() {
        return Ok(Done { record, unsaved: saved.err() });
    }
    // Without its files a network is no use to the cells that need it, and its checkpoint is kept; nor is any cell on a cluster,
    // where nobody sees the number.
    saved?;
    // After the record, so that no moment is without either.
    let removed = match &claimed {
        Some((claims, claim)) => claims.release(claim),
        None => checkpointing.remove().map_err(Error::work("removing the checkpoint")),
    };
    Ok(Done { record, unsaved: removed.err() })
}

/// The networks that `cell` needs, with their weights.
fn needed<'a>(
    plan: &'a Plan,
    cell: &Cell,
    board: &Board<'_>,
    writer: &Writer,
) -> Result<Vec<(&'a NetworkWork, Vec<u8>)>> {
    let load = |&need: &usize| {
        let Work::Network(network) = &plan.cells[need].work else {
            unreachable!("evaluations need networks only")
        };
        let expected = board.weights_sha256(need)?;
        Ok((network.as_ref(), writer.store().load_weights(&plan.cells[need].key, &expected)?))
    };
    cell.needs.iter().map(load).collect()
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// What the jobs share.
struct Board<'a> {
    plan: &'a Plan,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    records: BTreeMap<usize, Record>,
    waiting: BTreeSet<usize>,
    running: usize,
    failures: BTreeMap<usize, Error>,
    computed: usize,
}

impl<'a> Board<'a> {
    fn new(plan: &'a Plan, records: BTreeMap<usize, Record>, waiting: BTreeSet<usize>) -> Self {
        let state = State { records, waiting, running: 0, failures: BTreeMap::new(), computed: 0 };
        Self { plan, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is a single insertion or removal, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes the time until the state may have changed; a thread of the pool helps the running cells
    /// meanwhile.
    fn wait<'s>(&'s self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        // Short, because a change while the lock is released is not noticed otherwise.
        const NAP: Duration = Duration::from_millis(1);
        if rayon::current_thread_index().is_none() {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let helped = rayon::yield_now() == Some(rayon::Yield::Executed);
        let state = self.lock();
        if helped {
            return state;
        }
        self.changed.wait_timeout(state, NAP).unwrap_or_else(PoisonError::into_inner).0
    }

    /// The first cell that can be run; waits while the running ones may make another possible.
    fn take(&self, cancel: &CancelToken) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if cancel.is_cancelled() {
                return None;
            }
            self.fail_dependents(&mut state);
            let needs = |index: usize| &self.plan.cells[index].needs;
            let ready = state
                .waiting
                .iter()
                .copied()
                .find(|&index| needs(index).iter().all(|need| state.records.contains_key(need)));
            if let Some(index) = ready {
                state.waiting.remove(&index);
                state.running += 1;
                return Some(index);
            }
            if state.waiting.is_empty() || state.running == 0 {
                return None;
            }
            state = self.wait(state);
        }
    }

    /// What needs a failed cell has failed too.
    fn fail_dependents(&self, state: &mut State) {
        let failed: Vec<(usize, usize)> = state
            .waiting
            .iter()
            .filter_map(|&index| {
                let failed = |n: &&usize| state.failures.contains_key(n) && !state.records.contains_key(n);
                let need = self.plan.cells[index].needs.iter().find(failed)?;
                Some((index, *need))
            })
            .collect();
        for (index, need) in failed {
            state.waiting.remove(&index);
            let label = self.plan.cells[need].label.clone();
            state.failures.insert(index, Error::Dependency { label });
        }
    }

    fn put(&self, index: usize, result: Result<Done>) {
        let mut state = self.lock();
        state.running -= 1;
        match result {
            Ok(Done { record, unsaved }) => {
                state.records.insert(index, record);
                state.failures.extend(unsaved.map(|error| (index, error)));
                state.computed += 1;
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => drop(state.failures.insert(index, error)),
        }
        self.changed.notify_all();
    }

    fn weights_sha256(&self, index: usize) -> Result<String> {
        crate::run::weights_sha256(&self.lock().records[&index]).map(str::to_owned)
    }

    fn into_outcome(self, cancelled: bool) -> Outcome {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cells = &self.plan.cells;
        let cancelled = cancelled && state.records.len() < cells.len() && {
            let done =
                |index: usize| state.records.contains_key(&index) || state.failures.contains_key(&index);
            (0..cells.len()).any(|index| cells[index].kind() == Kind::Evaluation && !done(index))
        };
        let failures =
            state.failures.into_iter().map(|(index, error)| (cells[index].label.clone(), error)).collect();
        Outcome { records: state.records, failures, cancelled, computed: state.computed }
    }
}

#[cfg(test)]
mod tests;
