//! One task: some cells of a plan, on one of many nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use robin_training::Checkpointing;

use super::claim::{Claim, Claims};
use crate::cell::{Cell, Weights};
use crate::engine::{Engine, Options, Present};
use crate::key::Key;
use crate::observer::Watched;
use crate::plan::Plan;
use crate::record::{Kind, Record};
use crate::reproduce::provenance;
use crate::shelf::{Shelf, Start};
use crate::store::{Store, Writer};
use crate::threads::{jobs, threads};
use crate::{Error, Observer, Result, cost};

/// How often a task looks whether its cells are still its own.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a task has come to.
#[derive(Debug)]
pub struct Done {
    /// Cells that this run computed.
    pub computed: usize,
    /// Cells of the task whose record is there now.
    pub there: usize,
    /// Label and error of every cell that failed.
    pub failures: Vec<(String, Error)>,
    /// Cells that a stop left unfinished; none if no stop was asked for before the end.
    pub unfinished: Vec<(Kind, String)>,
}

/// Runs the cells `keys` of `plan` below `folder`, side by side with whoever else writes there. A cell whose record is
/// there is done. `owner` says who this is: node and job.
///
/// # Errors
/// [`Error::OtherKeys`] if the plan has no such cell; [`Error::Overtaken`] or [`Error::Vanished`] if it had to stop; a
/// folder that cannot be used, a damaged record. Cells that fail are in the outcome.
pub fn run_cells(
    plan: &Plan,
    keys: &[Key],
    folder: &Path,
    owner: &str,
    options: &Options<'_>,
) -> Result<Done> {
    let places: HashMap<&Key, usize> =
        plan.cells.iter().enumerate().map(|(place, cell)| (&cell.key, place)).collect();
    let wanted: BTreeSet<usize> = keys
        .iter()
        .map(|key| {
            places.get(key).copied().ok_or_else(|| Error::OtherKeys {
                key: key.to_string(),
                items: plan.items.iter().map(|item| item.item.as_str()).collect::<Vec<_>>().join(", "),
            })
        })
        .collect::<Result<_>>()?;

    let store = Store::new(folder);
    let needed: BTreeSet<usize> = wanted.iter().flat_map(|&place| plan.cells[place].needs.clone()).collect();
    let mut records = BTreeMap::new();
    for &place in wanted.union(&needed) {
        let cell = &plan.cells[place];
        if let Some(record) = store.load(cell.kind(), &cell.key)? {
            records.insert(place, record);
        }
    }
    let claims = Claims::new(store.clone(), owner)?;
    let mut failures = Vec::new();
    let mut missing: BTreeSet<usize> =
        wanted.iter().copied().filter(|place| !records.contains_key(place)).collect();
    // A network that neither is there nor is made here is looked for here and not believed from the batch system.
    for place in missing.clone() {
        let absent = |need: &&usize| !records.contains_key(need) && !wanted.contains(need);
        if let Some(&need) = plan.cells[place].needs.iter().find(absent) {
            missing.remove(&place);
            failures.push((place, Error::NoRecord { label: plan.cells[need].label.clone() }));
        }
    }
    let jobs = jobs(options.jobs, threads(options.threads)?)?;
    let writer = store.clone().open_shared(cost::bytes(&plan.cells, &missing, jobs))?;
    let noting = Noting { inner: options.observer, plan, claims: &claims };
    let options = Options { observer: &noting, save: options.save.clone(), ..*options };
    let engine = Engine {
        cells: &plan.cells,
        executor: plan.device.executor(),
        provenance: provenance(plan),
        shelf: &Claimed { writer: &writer, claims: &claims },
        options: &options,
    };
    let outcome = watched(&claims, &options, || engine.run(Present { records, missing: missing.clone() }))?;
    for (place, error) in &failures {
        claims.note_failure(&plan.cells[*place].key, &chain(error))?;
    }
    if let Some(lost) = claims.into_lost() {
        return Err(lost);
    }
    let labels = |(place, error): (usize, Error)| (plan.cells[place].label.clone(), error);
    let failures: Vec<(String, Error)> = failures.into_iter().map(labels).chain(outcome.failures).collect();
    let failed: BTreeSet<&str> = failures.iter().map(|(label, _)| label.as_str()).collect();
    let unfinished = missing
        .iter()
        .filter(|place| !outcome.records.contains_key(place))
        .map(|&place| &plan.cells[place])
        .filter(|cell| !failed.contains(cell.label.as_str()))
        .map(|cell| (cell.kind(), cell.label.clone()))
        .collect();
    let there = wanted.iter().filter(|place| outcome.records.contains_key(place)).count();
    Ok(Done { computed: outcome.computed, there, failures, unfinished })
}

/// Runs `work`, and asks it to stop once a claim is lost.
fn watched<T: Send>(claims: &Claims, options: &Options<'_>, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let (over, is_over) = channel::<()>();
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(LOOK_EVERY) {
                if !claims.all_hold() {
                    options.cancel.cancel();
                    return;
                }
            }
        });
        let result = work();
        drop(over);
        result
    })
}

/// The folder of a cluster: each cell is written by who has claimed it.
struct Claimed<'a> {
    writer: &'a Writer,
    claims: &'a Claims,
}

impl Shelf for Claimed<'_> {
    type Begun = Claim;

    const SHARED: bool = true;

    fn weights(&self, cell: &Cell, sha256: &str) -> Result<Vec<u8>> {
        self.writer.store().load_weights(&cell.key, sha256)
    }

    fn begin(&self, cell: &Cell) -> Result<Start<Claim>> {
        let store = self.writer.store();
        let Some(claim) = self.claims.take(cell.kind(), &cell.key, &cell.label)? else {
            let record = store.load(cell.kind(), &cell.key)?;
            return record
                .map(Start::Elsewhere)
                .ok_or_else(|| Error::Vanished { folder: store.folder().to_owned() });
        };
        let checkpoint = match cell.kind() {
            Kind::Network => self.claims.checkpoint(&claim)?,
            Kind::Evaluation => store.checkpoint_path(&cell.key),
        };
        Ok(Start::Here { begun: claim, checkpoint, logs: None })
    }

    fn save(&self, _: &Cell, claim: &Claim, record: &Record, weights: Option<&Weights>) -> Result<()> {
        self.claims.finish(claim)?;
        self.writer.save(record, weights)
    }

    fn release(&self, claim: &Claim, _: &Checkpointing) -> Result<()> {
        self.claims.release(claim)
    }
}

/// Keeps the reasons of failures beside the results, where `status` finds them.
struct Noting<'a> {
    inner: &'a dyn Observer,
    plan: &'a Plan,
    claims: &'a Claims,
}

impl Observer for Noting<'_> {
    fn inner(&self) -> Option<&dyn Observer> {
        Some(self.inner)
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        // A start that was taken over is no failure, and what cannot be noted is in the outcome all the same.
        if !matches!(error, Error::Overtaken { .. } | Error::Vanished { .. })
            && let Err(fault) = self.claims.note_failure(&self.plan.cells[cell.index].key, &chain(error))
        {
            tracing::warn!(%fault, "the reason of a failure was not noted");
        }
        self.inner.failed(cell, error);
    }
}

/// An error and its causes, in one line.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}
