//! A run's outcome as the paper's table, as data.

mod caveats;
mod compared;
mod number;
mod shown;

use std::collections::{BTreeMap, BTreeSet};

use robin_core::{Epsilon, Norm};
use robin_data::DatasetName;
use serde::Serialize;

use caveats::caveats;
pub use compared::{Comparison, Overlap};
use compared::{comparisons, overlaps};
use number::cell;
pub(crate) use number::{At, Found, accuracy, mean, misclassified_by_any};
pub(crate) use shown::places;

use crate::cell::evaluation::verdicts;
use crate::plan::{Plan, PlannedItem, PlannedRow, Ran};
use crate::spec::Layout;
use crate::{Environment, Outcome, Profile, Result};

/// One item under one profile; its JSON is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The item's name.
    pub item: String,
    /// How much was done.
    #[serde(serialize_with = "text")]
    pub profile: Profile,
    /// How it is laid out.
    #[serde(skip_serializing_if = "is_usual")]
    pub layout: Layout,
    /// One per row, classifier, attack and test budget, in the paper's order.
    pub cells: Vec<TableCell>,
    /// Differences of two classifiers, judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// Examples that two strategies break.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlaps: Vec<Overlap>,
    /// How the numbers came about.
    pub run: Run,
}

/// How a table's numbers came about.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The item's heading.
    pub title: String,
    /// Whether the numbers can be held against the published ones.
    pub comparable: bool,
    /// What the profile shrank, in words, one text for each data set and architecture.
    pub shrunk: Vec<String>,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// What did the arithmetic.
    pub device: String,
    /// Processor, cores and system that the records name; of this run where they name none.
    pub machine: String,
    /// Sum over all finished cells of the time each took, whenever that was.
    pub seconds: f64,
    /// Numbers of the table without a result. What is beyond the paper counts once any number of its row, classifier or
    /// column is there.
    pub missing: usize,
    /// What the item says of itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One accuracy, with its interval and what the paper printed.
#[derive(Debug, Clone, Serialize)]
pub struct TableCell {
    /// The data set.
    pub dataset: DatasetName,
    /// The row's architecture; `ran` has the one that was run.
    pub model: String,
    /// Of both budgets.
    pub norm: Norm,
    /// The budget in test; for clean accuracy 0 where the row is tested with several, else that in training.
    pub epsilon: Epsilon,
    /// `multiclass` or `robin`.
    pub classifier: String,
    /// `clean`, the attack, or `union`.
    pub attack: String,
    /// The strategy with the lowest accuracy; `None` when clean, and for a union.
    pub strategy: Option<String>,
    /// Accuracy by strategy, mean over seeds; empty when clean, and for a union.
    pub strategies: BTreeMap<String, f64>,
    /// Clean accuracy, or that under the strongest single strategy, which is what the paper prints; of a union the
    /// share of test images that withstand all attacks that were made on them, with all strategies. Mean over seeds.
    pub accuracy: f64,
    /// Share of test images that withstand every strategy; mean over seeds.
    pub union: f64,
    /// Test images; of a union those that any attack was made on.
    pub n: usize,
    /// Lower end of the 95% Wilson interval of `accuracy` at `n` images.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// What the paper prints.
    pub published: Option<f64>,
    /// What the paper prints by strategy, where it does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub published_strategies: BTreeMap<String, f64>,
    /// The row's name.
    pub row: String,
    /// The budget in training, where the row is tested with budgets of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_epsilon: Option<Epsilon>,
    /// The test budget as the paper prints it, where its scale is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printed_epsilon: Option<String>,
    /// What this row stands in for, with other data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<String>,
    /// The paper has not got its row, classifier or column.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub beyond: bool,
    /// Keys of the evaluations behind the number.
    pub records: Vec<String>,
    /// What the profile made of the row.
    pub ran: RanCell,
}

/// What a cell was run with, and its numbers by seed.
#[derive(Debug, Clone, Serialize)]
pub struct RanCell {
    /// The resolved sizes.
    #[serde(flatten)]
    pub ran: Ran,
    /// In the order of [`Run::seeds`].
    pub seeds: Vec<SeedResult>,
}

/// One seed's numbers.
#[derive(Debug, Clone, Serialize)]
pub struct SeedResult {
    /// Root seed.
    pub seed: u64,
    /// Under the strategy that is the strongest over all seeds.
    pub accuracy: f64,
    /// Under all strategies at once.
    pub union: f64,
}

impl TableCell {
    /// Standard deviation of the accuracy over seeds (n - 1 in the denominator); `None` with one seed.
    pub fn spread(&self) -> Option<f64> {
        let values: Vec<f64> = self.ran.seeds.iter().map(|seed| seed.accuracy).collect();
        let mean = mean(&values);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
    }
}

impl Table {
    /// The numbers of one item of `plan` whose results are all there.
    ///
    /// # Errors
    /// [`crate::Error::Json`] if a record's results are not those of an evaluation.
    pub fn new(
        plan: &Plan,
        item: &PlannedItem,
        outcome: &Outcome,
        environment: &Environment,
    ) -> Result<Self> {
        let results = found(plan, item, outcome)?;
        let mut cells_of_item = BTreeSet::new();
        for &(_, index) in &item.places {
            cells_of_item.insert(index);
            cells_of_item.extend(plan.cells[index].needs.iter().copied());
        }
        let places = places(item, &results);
        let cells: Vec<TableCell> = places.iter().filter_map(|at| cell(item, &results, at)).collect();
        let seconds = |index: &usize| {
            let record = outcome.records.get(index)?;
            record.provenance.get("seconds").and_then(serde_json::Value::as_f64)
        };
        let mut notes = item.notes.clone();
        if cells.iter().any(|cell| cell.beyond) {
            notes.extend(item.beyond_notes.iter().cloned());
        }
        notes.extend(caveats(item, &results, &places));
        let run = Run {
            title: item.title.clone(),
            comparable: plan.profile == Profile::Paper,
            shrunk: shrunk(item, &places),
            seeds: item.seeds.clone(),
            device: plan.device.to_string(),
            machine: machine(&cells_of_item, outcome, environment),
            seconds: cells_of_item.iter().filter_map(seconds).sum(),
            missing: places.len() - cells.len(),
            notes,
        };
        let comparisons = comparisons(item, &results, &places)?;
        let overlaps = overlaps(item, &results);
        Ok(Self {
            item: item.item.clone(),
            profile: plan.profile,
            layout: item.layout,
            cells,
            comparisons,
            overlaps,
            run,
        })
    }
}

/// What the records that are there say at the item's places.
pub(crate) fn found(plan: &Plan, item: &PlannedItem, outcome: &Outcome) -> Result<Vec<Found>> {
    let mut results = Vec::new();
    for &(place, index) in &item.places {
        if let Some(record) = outcome.records.get(&index) {
            let evaluation = plan.cells[index].work.evaluation();
            let attack = evaluation.and_then(|work| work.attack.as_ref()).map(|planned| planned.spec.attack);
            let (misclassified, zero_gradients) = verdicts(record)?;
            let key = record.key.to_string();
            results.push(Found { place, attack, misclassified, zero_gradients, key });
        }
    }
    Ok(results)
}

/// Where the item's cells were computed.
fn machine(cells: &BTreeSet<usize>, outcome: &Outcome, environment: &Environment) -> String {
    let of = |index: &usize| outcome.records.get(index)?.provenance.get("machine")?.as_str();
    let machines: BTreeSet<&str> = cells.iter().filter_map(of).collect();
    match machines.is_empty() {
        true => environment.machine().to_owned(),
        false => machines.into_iter().collect::<Vec<_>>().join("; "),
    }
}

/// What the profile shrank of what is shown, in words.
fn shrunk(item: &PlannedItem, places: &[At]) -> Vec<String> {
    let mut shrunk: Vec<String> = Vec::new();
    for PlannedRow { row, shrunk: what, .. } in item.rows.iter().filter(|row| !row.shrunk.is_empty()) {
        let line = format!("{}/{}: {}", row.dataset, row.model, what.join(", "));
        if !shrunk.contains(&line) {
            shrunk.push(line);
        }
    }
    let is_of = |attack: &str, column: usize| item.columns[column].attack.as_deref() == Some(attack);
    let is_shown = |attack: &str| places.iter().any(|at| is_of(attack, at.column));
    let attacks = item.shrunk_attacks.iter().filter(|(attack, _)| is_shown(attack));
    shrunk.extend(attacks.map(|(_, how)| how.clone()));
    shrunk
}

fn is_usual(layout: &Layout) -> bool {
    *layout == Layout::default()
}

fn text<S: serde::Serializer>(value: &Profile, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests;
