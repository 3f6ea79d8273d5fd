//! A run's outcome as the paper's table, as data.

mod compared;

use std::collections::{BTreeMap, BTreeSet};

use robin_core::{Epsilon, Norm};
use robin_data::DatasetName;
use robin_evaluation::wilson;
use serde::Serialize;

pub use compared::{Comparison, Overlap};
use compared::{comparisons, overlaps};

use crate::plan::{Place, Plan, PlannedItem, PlannedRow, Ran};
use crate::run::{Broken, broken};
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
    /// Processor, cores and system of this run.
    pub machine: String,
    /// Sum over all finished cells of the time each took, whenever that was.
    pub seconds: f64,
    /// Numbers of the table without a result.
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
    /// `clean`, or the attack.
    pub attack: String,
    /// The strategy with the lowest accuracy; `None` when clean.
    pub strategy: Option<String>,
    /// Accuracy by strategy, mean over seeds; empty when clean.
    pub strategies: BTreeMap<String, f64>,
    /// Clean accuracy, or that under the strongest single strategy, which is what the paper prints; mean over
    /// seeds.
    pub accuracy: f64,
    /// Share of test images that withstand every strategy; mean over seeds.
    pub union: f64,
    /// Test images.
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
        let mut results = Vec::new();
        let mut cells_of_item = BTreeSet::new();
        for &(place, index) in &item.places {
            cells_of_item.insert(index);
            cells_of_item.extend(plan.cells[index].needs.iter().copied());
            if let Some(record) = outcome.records.get(&index) {
                results.push(Found { place, broken: broken(record)?, key: record.key.to_string() });
            }
        }
        let mut cells = Vec::new();
        let mut wanted = 0;
        for row in 0..item.rows.len() {
            for classifier in 0..item.classifiers.len() {
                for column in 0..item.columns.len() {
                    for test in tests(item, row, classifier, column) {
                        wanted += 1;
                        let at = At { row, classifier, column, test };
                        cells.extend(cell(item, &results, &at));
                    }
                }
            }
        }
        let seconds = |index: &usize| {
            let record = outcome.records.get(index)?;
            record.provenance.get("seconds").and_then(serde_json::Value::as_f64)
        };
        let run = Run {
            title: item.title.clone(),
            comparable: plan.profile == Profile::Paper,
            shrunk: shrunk(item),
            seeds: item.seeds.clone(),
            device: plan.device.to_string(),
            machine: environment.machine().to_owned(),
            seconds: cells_of_item.iter().filter_map(seconds).sum(),
            missing: wanted - cells.len(),
            notes: item.notes.clone(),
        };
        let comparisons = comparisons(item, &results)?;
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

/// What the profile shrank, in words.
fn shrunk(item: &PlannedItem) -> Vec<String> {
    let mut shrunk: Vec<String> = Vec::new();
    for PlannedRow { row, shrunk: what, .. } in item.rows.iter().filter(|row| !row.shrunk.is_empty()) {
        let line = format!("{}/{}: {}", row.dataset, row.model, what.join(", "));
        if !shrunk.contains(&line) {
            shrunk.push(line);
        }
    }
    shrunk.extend(item.shrunk_attacks.iter().cloned());
    shrunk
}

/// One evaluation's verdicts.
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) broken: Broken,
    key: String,
}

/// A number's place, all seeds and strategies together.
#[derive(Clone, Copy)]
struct At {
    row: usize,
    classifier: usize,
    column: usize,
    test: Option<Epsilon>,
}

impl At {
    fn holds(&self, place: &Place) -> bool {
        (place.row, place.classifier, place.column) == (self.row, self.classifier, self.column)
            && place.test == self.test
    }
}

/// Test budgets of one column: those that the plan has places for, in the row's order.
fn tests(item: &PlannedItem, row: usize, classifier: usize, column: usize) -> Vec<Option<Epsilon>> {
    let mut found: Vec<Option<Epsilon>> = Vec::new();
    for (place, _) in &item.places {
        if (place.row, place.classifier, place.column) == (row, classifier, column)
            && !found.contains(&place.test)
        {
            found.push(place.test);
        }
    }
    found
}

/// One number, or `None` while a strategy or seed of it is missing.
fn cell(item: &PlannedItem, results: &[Found], at: &At) -> Option<TableCell> {
    let planned = &item.rows[at.row];
    let (spec, column) = (&item.classifiers[at.classifier], &item.columns[at.column]);
    let mut strategies = Vec::new();
    for (place, _) in item.places.iter().filter(|(place, _)| at.holds(place)) {
        if !strategies.contains(&place.strategy) {
            strategies.push(place.strategy);
        }
    }
    let find = |seed, strategy| {
        results.iter().find(|found| {
            at.holds(&found.place) && found.place.seed == seed && found.place.strategy == strategy
        })
    };
    // [strategy][seed]
    let found: Vec<Vec<&Found>> = strategies
        .iter()
        .map(|&strategy| item.seeds.iter().map(|&seed| find(seed, strategy)).collect::<Option<Vec<_>>>())
        .collect::<Option<_>>()?;
    let accuracies: Vec<Vec<f64>> =
        found.iter().map(|seeds| seeds.iter().map(|found| accuracy(&found.broken)).collect()).collect();
    let means: Vec<f64> = accuracies.iter().map(|seeds| mean(seeds)).collect();
    let strongest = (0..means.len()).min_by(|&a, &b| means[a].total_cmp(&means[b]))?;
    let seeds: Vec<SeedResult> = item
        .seeds
        .iter()
        .enumerate()
        .map(|(seed_at, &seed)| SeedResult {
            seed,
            accuracy: accuracies[strongest][seed_at],
            union: union_accuracy(&found.iter().map(|seeds| &seeds[seed_at].broken).collect::<Vec<_>>()),
        })
        .collect();
    let n = found[0][0].broken.len();
    let interval = wilson((means[strongest] * n as f64).round() as u64, n as u64);
    let name = |at: usize| strategies[at].map(|strategy| strategy.to_string());
    let row = &planned.row;
    let test_at = row.tests().iter().position(|test| Some(*test) == at.test).unwrap_or(0);
    let several = row.test.is_some();
    let published_strategies = row
        .published_strategies
        .get(&spec.name)
        .and_then(|columns| columns.get(&column.name))
        .map(|printed| printed.iter().filter_map(|(k, v)| Some((k.clone(), *v.get(test_at)?))).collect())
        .unwrap_or_default();
    Some(TableCell {
        dataset: row.dataset,
        model: row.model.clone(),
        norm: row.norm,
        epsilon: at.test.unwrap_or(if several { Epsilon::ZERO } else { row.epsilon }),
        classifier: spec.name.clone(),
        attack: column.name.clone(),
        strategy: name(strongest),
        strategies: (0..means.len()).filter_map(|at| Some((name(at)?, means[at]))).collect(),
        accuracy: means[strongest],
        union: mean(&seeds.iter().map(|seed| seed.union).collect::<Vec<_>>()),
        n,
        low: interval.low,
        high: interval.high,
        published: row
            .published
            .get(&spec.name)
            .and_then(|printed| printed.get(column.published.as_ref().unwrap_or(&column.name)))
            .and_then(|printed| printed.at(test_at)),
        published_strategies,
        row: row.label(),
        train_epsilon: several.then_some(row.epsilon),
        printed_epsilon: row.printed.as_ref().map(|printed| match at.test {
            Some(_) => printed.test[test_at].clone(),
            None => "0".to_owned(),
        }),
        stand_in: row.stand_in.clone(),
        records: found.iter().flatten().map(|found| found.key.clone()).collect(),
        ran: RanCell { ran: planned.classifiers[at.classifier].clone()?, seeds },
    })
}

fn accuracy(broken: &Broken) -> f64 {
    union_accuracy(&[broken])
}

/// Share of examples that none of `attacks` breaks.
fn union_accuracy(attacks: &[&Broken]) -> f64 {
    let n = attacks[0].len();
    let standing = (0..n).filter(|&example| attacks.iter().all(|broken| !broken[example])).count();
    standing as f64 / n as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn is_usual(layout: &Layout) -> bool {
    *layout == Layout::default()
}

fn text<S: serde::Serializer>(value: &Profile, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests;
