//! What a run would do, without doing it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::record::Kind;
use crate::schedule::present;
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
    /// How many cells would be run.
    pub to_run: usize,
    /// Estimate for them, timed just now with a network on each thread.
    pub seconds: f64,
    /// Threads of the estimate.
    pub threads: usize,
    /// Estimate of what they would write.
    pub bytes: u64,
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
        let found = present(plan, &store)?;
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
        let cells = plan
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
        Ok(Self {
            cells,
            to_run: found.missing.len(),
            seconds: cost::seconds(plan, &found.missing, threads)?,
            threads,
            bytes: cost::bytes(plan, &found.missing, threads),
        })
    }
}
