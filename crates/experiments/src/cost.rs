//! What a plan will take, before it is begun: space, and time on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, ExampleId};
use robin_data::{Dataset, LabelMap};
use robin_nn::{Graph, Parameters};
use serde_json::Value;

use crate::plan::{Cell, NetworkWork, Plan, Work};
use crate::spec::ClassifierKind;
use crate::{Error, Result};

/// Room for a record, and for the files that replace one another when reports are written.
const RECORD_BYTES: u64 = 64 << 10;

/// Bytes that the `missing` cells will write, with a tenth to spare.
pub(crate) fn bytes(plan: &Plan, missing: &BTreeSet<usize>) -> u64 {
    let written: u64 = missing.iter().map(|&index| RECORD_BYTES + weights_bytes(&plan.cells[index])).sum();
    written + written / 10 + (1 << 20)
}

/// Relative amount of work of every cell, for progress bars.
pub fn weights(plan: &Plan) -> Vec<f64> {
    let networks = |cell: &Cell| cell.needs.len().max(1);
    let size = |cell: &Cell| match &cell.work {
        Work::Network(work) => parameters(&work.graph) as f64,
        Work::Evaluation(_) => 0.0,
    };
    let each = |cell: &Cell| match cell.needs.first() {
        Some(&need) => size(&plan.cells[need]),
        None => size(cell),
    };
    plan.cells.iter().map(|cell| each(cell) * passes(&cell.work, networks(cell) as f64)).collect()
}

fn weights_bytes(cell: &Cell) -> u64 {
    match &cell.work {
        Work::Network(work) => 4 * parameters(&work.graph),
        Work::Evaluation(_) => 0,
    }
}

fn parameters(graph: &Graph) -> u64 {
    graph.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum()
}

/// Seconds that the `missing` cells take with all cores of this machine, from timing each architecture on
/// one batch now.
///
/// # Errors
/// If an architecture cannot be run.
pub(crate) fn seconds(plan: &Plan, missing: &BTreeSet<usize>) -> Result<f64> {
    let mut timed: BTreeMap<(String, u64), f64> = BTreeMap::new();
    let mut total = 0.0;
    for &index in missing {
        let cell = &plan.cells[index];
        let networks: Vec<&NetworkWork> = match &cell.work {
            Work::Network(work) => vec![work],
            Work::Evaluation(_) => cell
                .needs
                .iter()
                .filter_map(|&need| match &plan.cells[need].work {
                    Work::Network(work) => Some(work.as_ref()),
                    Work::Evaluation(_) => None,
                })
                .collect(),
        };
        let Some(first) = networks.first() else { continue };
        // The networks of an aggregate are alike, so one stands for all.
        let kind = (first.graph.name().to_owned(), parameters(&first.graph));
        let each = match timed.get(&kind) {
            Some(&each) => each,
            None => {
                let each = time(plan, first)?;
                timed.insert(kind, each);
                each
            }
        };
        total += each * passes(&cell.work, networks.len() as f64);
    }
    Ok(total)
}

/// Forward and backward passes through one network for one example.
fn passes(work: &Work, networks: f64) -> f64 {
    // A forward pass alone is about half as much work as one with the gradient on the images.
    const FORWARD: f64 = 0.5;
    // A training step also has the gradient on the weights.
    const TRAINING: f64 = 1.5;
    match work {
        Work::Network(work) => {
            let attack = match &work.config.method {
                robin_training::Method::Standard {} => 0.0,
                // Half of the examples on average, while the share rises from 0 to 1.
                robin_training::Method::PgdAt { steps, .. } => 0.5 * *steps as f64,
            };
            let training = (work.data.len() * work.config.epochs) as f64 * (TRAINING + attack);
            training + work.measured.len() as f64 * (FORWARD + steps(&work.attack.attack))
        }
        Work::Evaluation(work) => {
            let clean = FORWARD * networks;
            let attacked = work.attack.as_ref().map_or(0.0, |attack| {
                let arms = match (work.kind, attack.strategy) {
                    (ClassifierKind::OneVsAll, StrategyName::Top2) => 2.0,
                    _ => networks,
                };
                arms * steps(&attack.spec.attack) + 3.0 * clean
            });
            work.data.len() as f64 * (clean + attacked)
        }
    }
}

/// Gradient steps of an attack, read from its settings so that a new attack needs no edit here.
fn steps(attack: &robin_attacks::Config) -> f64 {
    let settings = serde_json::to_value(attack).unwrap_or(Value::Null);
    let number = |name: &str| settings[name].as_f64().unwrap_or(1.0);
    number("steps") * number("restarts") * number("candidates")
}

/// Seconds for one example's forward and backward pass, in a batch on all cores.
fn time(plan: &Plan, work: &NetworkWork) -> Result<f64> {
    let classifier = plan
        .device
        .executor()
        .classifier(&work.graph, &Parameters::initialise(&work.graph, work.seed))
        .map_err(Error::work("preparing a network"))?;
    let batch = first_batch(&work.data, &work.labels)?;
    let objective = Loss::Ce.against(batch.labels.clone());
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let begin = Instant::now();
        let failed = || Error::work::<robin_core::Error>("timing a network");
        let pass = classifier.forward(&batch.images, &Columns::All).map_err(failed())?;
        let gradient = objective.evaluate(pass.scores()).map_err(failed())?.score_gradient;
        pass.input_gradient(&gradient).map_err(failed())?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(best / batch.len() as f64)
}

fn first_batch(data: &Dataset, labels: &LabelMap) -> Result<robin_core::Batch> {
    let ids: Vec<ExampleId> = (0..data.len().min(128) as u32).map(ExampleId::first).collect();
    data.batch(&ids, labels).map_err(Error::work("loading a batch"))
}
