//! A run's outcome as the paper's table, as data.

use std::collections::BTreeMap;

use robin_core::{Epsilon, Norm};
use robin_data::DatasetName;
use robin_evaluation::wilson;
use serde::Serialize;

use crate::plan::{Place, Plan, PlannedRow, Ran, Work};
use crate::run::{Broken, broken};
use crate::{Environment, Outcome, Profile, Result};

/// One item under one profile; its JSON is what `--json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The item's name.
    pub item: String,
    /// How much was done.
    #[serde(serialize_with = "text")]
    pub profile: Profile,
    /// One per row, classifier and attack, in the paper's order.
    pub cells: Vec<TableCell>,
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
    /// Cells of the table without a result.
    pub missing: usize,
}

/// One accuracy, with its interval and what the paper printed.
#[derive(Debug, Clone, Serialize)]
pub struct TableCell {
    /// The data set.
    pub dataset: DatasetName,
    /// The row's architecture; `ran` has the one that was run.
    pub model: String,
    /// Of the budget in training and test.
    pub norm: Norm,
    /// The budget in training and test.
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
    /// The cells of `outcome` whose results are all there.
    ///
    /// # Errors
    /// [`crate::Error::Json`] if a record's results are not those of an evaluation.
    pub fn new(plan: &Plan, outcome: &Outcome, environment: &Environment) -> Result<Self> {
        let mut results = Vec::new();
        let mut seconds = 0.0;
        for (index, record) in &outcome.records {
            seconds += record.provenance.get("seconds").and_then(|value| value.as_f64()).unwrap_or(0.0);
            if let Work::Evaluation(work) = &plan.cells[*index].work {
                results.push((work.place, broken(record)?));
            }
        }
        let mut cells = Vec::new();
        for row in 0..plan.rows.len() {
            for classifier in 0..plan.classifiers.len() {
                for column in 0..plan.columns.len() {
                    cells.extend(cell(plan, &results, row, classifier, column));
                }
            }
        }
        let mut shrunk: Vec<String> = Vec::new();
        for PlannedRow { row, shrunk: what, .. } in plan.rows.iter().filter(|row| !row.shrunk.is_empty()) {
            let line = format!("{}/{}: {}", row.dataset, row.model, what.join(", "));
            if !shrunk.contains(&line) {
                shrunk.push(line);
            }
        }
        let run = Run {
            title: plan.title.clone(),
            comparable: plan.profile == Profile::Paper,
            shrunk,
            seeds: plan.seeds.clone(),
            device: plan.device.to_string(),
            machine: environment.machine().to_owned(),
            seconds,
            missing: plan.rows.len() * plan.classifiers.len() * plan.columns.len() - cells.len(),
        };
        Ok(Self { item: plan.item.clone(), profile: plan.profile, cells, run })
    }
}

/// One cell of the table, or `None` while a strategy or seed of it is missing.
fn cell(
    plan: &Plan,
    results: &[(Place, Broken)],
    row: usize,
    classifier: usize,
    column: usize,
) -> Option<TableCell> {
    let planned = &plan.rows[row];
    let (spec, attack) = (&plan.classifiers[classifier], &plan.columns[column]);
    let find = |seed, strategy| {
        let place = Place { row, classifier, column, seed, strategy };
        results.iter().find(|(at, _)| *at == place).map(|(_, broken)| broken)
    };
    let strategies: Vec<_> = match attack.attack {
        None => vec![None],
        Some(_) => spec.strategies.iter().copied().map(Some).collect(),
    };
    // [strategy][seed]
    let found: Vec<Vec<&Broken>> = strategies
        .iter()
        .map(|&strategy| plan.seeds.iter().map(|&seed| find(seed, strategy)).collect::<Option<Vec<_>>>())
        .collect::<Option<_>>()?;
    let accuracies: Vec<Vec<f64>> =
        found.iter().map(|seeds| seeds.iter().map(|broken| accuracy(broken)).collect()).collect();
    let means: Vec<f64> = accuracies.iter().map(|seeds| mean(seeds)).collect();
    let strongest = (0..means.len()).min_by(|&a, &b| means[a].total_cmp(&means[b]))?;
    let seeds: Vec<SeedResult> = plan
        .seeds
        .iter()
        .enumerate()
        .map(|(at, &seed)| SeedResult {
            seed,
            accuracy: accuracies[strongest][at],
            union: union_accuracy(&found.iter().map(|seeds| seeds[at]).collect::<Vec<_>>()),
        })
        .collect();
    let n = found[0][0].len();
    let interval = wilson((means[strongest] * n as f64).round() as u64, n as u64);
    let name = |at: usize| strategies[at].map(|strategy| strategy.to_string());
    Some(TableCell {
        dataset: planned.row.dataset,
        model: planned.row.model.clone(),
        norm: planned.row.norm,
        epsilon: planned.row.epsilon,
        classifier: spec.name.clone(),
        attack: attack.name.clone(),
        strategy: name(strongest),
        strategies: (0..means.len()).filter_map(|at| Some((name(at)?, means[at]))).collect(),
        accuracy: means[strongest],
        union: mean(&seeds.iter().map(|seed| seed.union).collect::<Vec<_>>()),
        n,
        low: interval.low,
        high: interval.high,
        published: planned
            .row
            .published
            .get(&spec.name)
            .and_then(|printed| printed.get(&attack.name))
            .copied(),
        ran: RanCell { ran: planned.ran.clone(), seeds },
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

fn text<S: serde::Serializer>(value: &Profile, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests;
