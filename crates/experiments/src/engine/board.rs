//! What the jobs of an engine share: which cells wait, run, are done or have failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use robin_core::CancelToken;

use super::{Done, Outcome};
use crate::cell::Cell;
use crate::cell::network::weights_sha256;
use crate::record::Record;
use crate::{Error, Result};

pub(super) struct Board<'a> {
    cells: &'a [Cell],
    /// Cells that others need.
    needed: BTreeSet<usize>,
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
    pub(super) fn new(cells: &'a [Cell], records: BTreeMap<usize, Record>, waiting: BTreeSet<usize>) -> Self {
        let needed = cells.iter().flat_map(|cell| cell.needs.iter().copied()).collect();
        let state = State { records, waiting, running: 0, failures: BTreeMap::new(), computed: 0 };
        Self { cells, needed, state: Mutex::new(state), changed: Condvar::new() }
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
    pub(super) fn take(&self, cancel: &CancelToken) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if cancel.is_cancelled() {
                return None;
            }
            self.fail_dependents(&mut state);
            let needs = |index: usize| &self.cells[index].needs;
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
                let need = self.cells[index].needs.iter().find(failed)?;
                Some((index, *need))
            })
            .collect();
        for (index, need) in failed {
            state.waiting.remove(&index);
            let label = self.cells[need].label.clone();
            state.failures.insert(index, Error::Dependency { label });
        }
    }

    pub(super) fn put(&self, index: usize, result: Result<Done>) {
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

    /// The SHA-256 of the weights of the finished network `index`.
    pub(super) fn weights_sha256(&self, index: usize) -> Result<String> {
        weights_sha256(&self.lock().records[&index]).map(str::to_owned)
    }

    /// Whether other cells need this one.
    pub(super) fn is_needed(&self, index: usize) -> bool {
        self.needed.contains(&index)
    }

    pub(super) fn into_outcome(self, cancelled: bool) -> Outcome {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cells = self.cells;
        // A network that only others need may be left out.
        let open = |index: &usize| {
            !self.needed.contains(index)
                && !state.records.contains_key(index)
                && !state.failures.contains_key(index)
        };
        let cancelled = cancelled && (0..cells.len()).any(|index| open(&index));
        let failures =
            state.failures.into_iter().map(|(index, error)| (cells[index].label.clone(), error)).collect();
        Outcome { records: state.records, failures, cancelled, computed: state.computed }
    }
}
