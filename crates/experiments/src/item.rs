//! An item's outcome: its table, what is drawn from it, and numbers that claims are tested on.

mod sweep;

use std::path::Path;

use serde::Serialize;

use crate::engine::present;
use crate::plan::{Plan, PlannedItem};
use crate::spec::FigureShape;
use crate::store::Store;
use crate::{Environment, Figure, Outcome, Result, Table, study};

/// One table or figure of the paper, as far as its records are there.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its name on the command line: `table-1`.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// Its accuracies; `None` if it has none.
    pub table: Option<Table>,
    /// What is drawn.
    pub figures: Vec<Figure>,
    /// Numbers that are no accuracies.
    pub values: Vec<Value>,
    /// What else must be said.
    pub notes: Vec<String>,
}

/// A number that is no accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Value {
    /// What it is.
    pub name: String,
    /// Of which row.
    pub row: String,
    /// The number.
    pub value: f64,
    /// Half the width of its 95% interval.
    pub error: f64,
    /// Root seeds behind it.
    pub seeds: usize,
    /// Keys of the records behind it.
    pub records: Vec<String>,
}

impl Item {
    /// One item of `plan`, from what `outcome` has.
    ///
    /// # Errors
    /// [`crate::Error::Json`] if a record's results are not those of its kind.
    pub fn new(
        plan: &Plan,
        planned: &PlannedItem,
        outcome: &Outcome,
        environment: &Environment,
    ) -> Result<Self> {
        let table = Table::new(plan, planned, outcome, environment)?;
        let mut figures = study::figures(plan, planned, outcome)?;
        let drawn = planned
            .figures
            .iter()
            .map(|figure| match figure.shape {
                FigureShape::Sweep => sweep::figure(figure, planned, &table),
            })
            .collect::<Vec<_>>();
        figures.extend(drawn);
        Ok(Self {
            name: planned.item.clone(),
            title: planned.title.clone(),
            values: overlaps(&table),
            table: planned.study.is_none().then_some(table),
            figures,
            notes: planned.notes.clone(),
        })
    }
}

/// All items of `plan`, from the records below `folder`; nothing is run.
///
/// # Errors
/// As [`Item::new`]; [`crate::Error::Damaged`] for the first record that is not what was written.
pub fn collect(plan: &Plan, folder: &Path, environment: &Environment) -> Result<Vec<Item>> {
    let outcome = stored(plan, folder)?;
    plan.items.iter().map(|item| Item::new(plan, item, &outcome, environment)).collect()
}

/// What of `plan` has a record below `folder`; nothing is run.
///
/// # Errors
/// [`crate::Error::Damaged`] for the first record that is not what was written.
pub fn stored(plan: &Plan, folder: &Path) -> Result<Outcome> {
    let store = Store::new(folder);
    let records = present(&plan.cells, |cell| store.load(cell.kind(), &cell.key))?.records;
    Ok(Outcome { records, failures: Vec::new(), cancelled: false, computed: 0 })
}

/// Whether somebody has asked for `item` below `folder`: it was written there when it was whole, or it is the first that asked for
/// some record. Items that only share records with these have numbers too, which nobody wanted to see.
pub fn was_asked_for(item: &Item, plan: &Plan, outcome: &Outcome, folder: &Path) -> bool {
    let names = item.figures.iter().map(|figure| &figure.id).chain([&item.name]);
    let written = |name: &String| folder.join(format!("{name}-{}.json", plan.profile)).is_file();
    let first = |record: &crate::record::Record| {
        record.provenance.get("item").is_some_and(|first| *first == item.name)
    };
    names.into_iter().any(written) || outcome.records.values().any(first)
}

/// Of the examples that one strategy breaks, the share that another breaks too.
fn overlaps(table: &Table) -> Vec<Value> {
    let value = |overlap: &crate::table::Overlap| {
        let [first, second] = &overlap.strategies;
        let share = overlap.inside()?;
        let own = (overlap.misclassified[0] - overlap.clean_errors) as f64;
        Some(Value {
            name: format!("{first} inside {second}"),
            row: overlap.row.clone(),
            value: share,
            error: 1.96 * (share * (1.0 - share) / own).sqrt(),
            seeds: table.run.seeds.len(),
            records: overlap.records.clone(),
        })
    };
    table.overlaps.iter().filter_map(value).collect()
}
