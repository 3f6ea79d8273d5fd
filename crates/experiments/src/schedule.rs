//! All cells of a plan: what is there is kept, the rest is run side by side.
//!
//! One pool of threads does everything. The first threads of it are jobs: each takes one cell after the
//! other, and runs it to its end on that thread. A thread without a cell helps the cells that run, so that
//! arms run side by side, one per core, while there are several, and the last one has all cores. A [`Crew`] says
//! whether there is such a thread: while there is none, no loop is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use robin_core::CancelToken;
use robin_core::crew::Crew;
use robin_training::Checkpointing;
use serde_json::json;

use crate::environment::cores;
use crate::observer::Watched;
use crate::plan::{Cell, NetworkWork, Plan, Work};
use crate::record::{Kind, Record};
use crate::run::{Context, evaluate, train};
use crate::store::{Store, Writer};
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
    /// Label and error of every cell that failed.
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
    let threads = options.threads.unwrap_or_else(cores);
    let jobs = options.jobs.unwrap_or(threads);
    for (option, value) in [("--threads", threads), ("--jobs", jobs)] {
        if value == 0 {
            return Err(Error::Zero { option });
        }
    }
    Error::check_count("--batch", options.batch_size, robin_evaluation::MOST_BATCH)?;
    let store = Store::new(folder);
    let present = present(plan, &store)?;
    check_weights(plan, &store, &present)?;
    let Present { records, missing } = present;
    let writer = store.open(cost::bytes(plan, &missing, jobs.min(threads)))?;
    options.observer.begin(plan.cells.len(), &missing.iter().copied().collect::<Vec<_>>());

    let board = Board::new(plan, records, missing);
    side_by_side(threads, jobs, |crew| work(plan, &board, &writer, options, crew))?;
    Ok((board.into_outcome(options.cancel.is_cancelled()), writer))
}

/// Runs `job` on the first `jobs` of `threads` threads of one pool; the others, and those whose job is over, help. A job
/// does what is its own inside [`Crew::work`].
pub(crate) fn side_by_side(threads: usize, jobs: usize, job: impl Fn(&Crew) + Sync) -> Result<()> {
    let (pool, crew) = (pool(threads)?, Crew::new(threads));
    // Broadcast puts each job on its own thread. Work handed to the pool as tasks could be stolen by a thread
    // that only waits for a part of its own, which would then stand still until the stolen one is done.
    pool.broadcast(|thread| {
        crew.enter();
        if thread.index() < jobs {
            job(&crew);
        }
    });
    Ok(())
}

/// The threads that all work of a run shares.
pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|source| Error::Threads { threads, source })
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

/// One job: takes the first cell whose needs are met, until none is left.
fn work(plan: &Plan, board: &Board<'_>, writer: &Writer, options: &Options<'_>, crew: &Crew) {
    while let Some(index) = board.take(options.cancel) {
        let cell = &plan.cells[index];
        let watched = Watched { index, kind: cell.kind(), label: &cell.label };
        options.observer.started(&watched);
        let begin = Instant::now();
        let cell = || one(plan, cell, &watched, board, writer, options);
        let result = catch_unwind(AssertUnwindSafe(|| crew.work(cell)))
            .unwrap_or_else(|panic| Err(Error::Panic { message: panic_message(panic.as_ref()) }))
            // Libraries answer a request to stop in several ways, which all mean this.
            .map_err(|error| if options.cancel.is_cancelled() { Error::Cancelled } else { error });
        match &result {
            Ok(_) => options.observer.finished(&watched, begin.elapsed().as_secs_f64()),
            Err(error) if error.is_cancelled() => {}
            Err(error) => options.observer.failed(&watched, error),
        }
        board.put(index, result);
    }
}

fn one(
    plan: &Plan,
    cell: &Cell,
    watched: &Watched<'_>,
    board: &Board<'_>,
    writer: &Writer,
    options: &Options<'_>,
) -> Result<Record> {
    let context = Context {
        executor: plan.device.executor(),
        batch_size: options.batch_size,
        cancel: options.cancel,
        observer: options.observer,
        watched,
    };
    let checkpointing = Checkpointing::new(writer.store().checkpoint_path(&cell.key), CHECKPOINT_EVERY);
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
    let record = Record {
        kind: cell.kind(),
        key: cell.key.clone(),
        settings: cell.settings.clone(),
        results,
        provenance,
    };
    writer.save(&record, weights.as_ref())?;
    if weights.is_some() {
        // After the record, so that no moment is without either.
        checkpointing.remove().map_err(Error::work("removing the checkpoint"))?;
    }
    tracing::info!(cell = cell.label, key = %cell.key, "record written");
    Ok(record)
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
                let need = self.plan.cells[index].needs.iter().find(|n| state.failures.contains_key(n))?;
                Some((index, *need))
            })
            .collect();
        for (index, need) in failed {
            state.waiting.remove(&index);
            let label = self.plan.cells[need].label.clone();
            state.failures.insert(index, Error::Dependency { label });
        }
    }

    fn put(&self, index: usize, result: Result<Record>) {
        let mut state = self.lock();
        state.running -= 1;
        match result {
            Ok(record) => {
                state.records.insert(index, record);
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
