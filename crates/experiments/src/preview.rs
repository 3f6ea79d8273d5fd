//! What a run would do, without doing it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::engine::present;
use crate::record::Kind;
use crate::store::Store;
use crate::{Plan, Result, cost};

/// Whether a cell's result is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is, under this very key.
    Done,
    /// There is one of the same item, profile and label, made with other settings, data or numerics.
    Stale,
    /// There is none.
    Missing,
}

/// What a run would do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Label and state of every cell, in the order of the plan.
    pub cells: Vec<(String, State)>,
    /// The same by item.
    pub items: Vec<ItemPreview>,
    /// How many cells would be run.
    pub to_run: usize,
    /// Estimate for them, timed just now with a network on each thread.
    pub seconds: f64,
    /// Threads of the estimate.
    pub threads: usize,
    /// Estimate of what they would write.
    pub bytes: u64,
}

/// What a run would do for one item: what several need is done, and counted, for the first of them.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemPreview {
    /// Its name.
    pub item: String,
    /// Its cells, done or not.
    pub cells: usize,
    /// How many of them would be run.
    pub to_run: usize,
    /// How many of those have a record that was made with other settings, data or numerics.
    pub stale: usize,
    /// Estimate for them, on all threads.
    pub seconds: f64,
}

impl Preview {
    /// Compares `plan` with what is below `folder`, and times each architecture on one batch for each of
    /// `threads` threads (`None` = one per core).
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] for a record that is not what was written; as [`crate::threads::threads`].
    pub fn new(plan: &Plan, folder: &Path, threads: Option<usize>) -> Result<Self> {
        let threads = crate::threads::threads(threads)?;
        let store = Store::new(folder);
        let found = present(&plan.cells, |cell| store.load(cell.kind(), &cell.key))?;
        let known: BTreeSet<(String, String, String)> = [Kind::Network, Kind::Evaluation]
            .into_iter()
            .flat_map(|kind| store.readable(kind))
            .map(|record| {
                let field = |name: &str| record.provenance.get(name).and_then(|value| value.as_str());
                let [item, profile, label] =
                    ["item", "profile", "label"].map(|name| field(name).unwrap_or_default().to_owned());
                (item, profile, label)
            })
            .collect();
        let cells: Vec<(String, State)> = plan
            .cells
            .iter()
            .enumerate()
            .map(|(index, cell)| {
                let name = (cell.item.clone(), plan.profile.to_string(), cell.label.clone());
                let state = match (found.records.contains_key(&index), known.contains(&name)) {
                    (true, _) => State::Done,
                    (false, true) => State::Stale,
                    (false, false) => State::Missing,
                };
                (cell.label.clone(), state)
            })
            .collect();
        let each = cost::each(plan, &found.missing, threads)?;
        let seconds = |index: &usize| each.get(index).map_or(0.0, |seconds| seconds / threads as f64);
        let of = |item: &str| {
            let own: Vec<usize> = (0..plan.cells.len()).filter(|&at| plan.cells[at].item == item).collect();
            ItemPreview {
                item: item.to_owned(),
                cells: own.len(),
                to_run: own.iter().filter(|&&at| cells[at].1 != State::Done).count(),
                stale: own.iter().filter(|&&at| cells[at].1 == State::Stale).count(),
                seconds: own.iter().map(seconds).fold(0.0, std::ops::Add::add),
            }
        };
        Ok(Self {
            items: plan.items.iter().map(|planned| of(&planned.item)).collect(),
            cells,
            to_run: found.missing.len(),
            seconds: each.keys().map(seconds).fold(0.0, std::ops::Add::add),
            threads,
            bytes: cost::bytes(&plan.cells, &found.missing, threads),
        })
    }
}
