//! What a plan will take, before it is begun: space, and time on this machine.

mod timing;

use std::collections::{BTreeMap, BTreeSet};

use robin_aggregation::{Aggregation, StrategyChoice, StrategyName};
use robin_nn::Graph;
use robin_nn::graph::Layer;
use robin_training::Method;
use serde_json::Value;

use crate::Result;
use crate::plan::study::StudyWork;
use crate::plan::{AttackedAt, Cell, NetworkWork, Plan, Work};
use crate::spec::ClassifierKind;
use crate::threads::pool;
use timing::Timing;

/// Room for a record, and for the files that replace one another when reports are written; more for each image, of which
/// an evaluation's record has the prediction and the size of the perturbation, best and last.
const RECORD_BYTES: u64 = 64 << 10;
const IMAGE_BYTES: u64 = 32;

/// Bytes that the `missing` cells will write, with a tenth to spare, where `jobs` networks are trained side by side: each has a
/// checkpoint of weights, momentum and averaged weights, and its predecessor until it is whole.
pub(crate) fn bytes(plan: &Plan, missing: &BTreeSet<usize>, jobs: usize) -> u64 {
    let cells = || missing.iter().map(|&index| &plan.cells[index]);
    let written: u64 = cells().map(|cell| RECORD_BYTES + results_bytes(cell)).sum();
    let largest = cells().map(weights_bytes).max().unwrap_or(0);
    let written = written + jobs as u64 * 2 * 3 * largest;
    written + written / 10 + (1 << 20)
}

/// Relative amount of work of every cell, for progress bars.
pub fn weights(plan: &Plan) -> Vec<f64> {
    // Of the three products of a training pass (forward, back to the layer's input, back to its weights) a
    // pass of an attack has two.
    let rough = Timing { attack: 1.0, training: 1.5, freeze: 0.0 };
    let networks = |cell: &Cell| cell.needs.len().max(1);
    let size = |cell: &Cell| match &cell.work {
        Work::Network(work) => products(&work.graph),
        Work::Evaluation(_) | Work::Study(_) => 0.0,
    };
    let each = |cell: &Cell| match cell.needs.first() {
        Some(&need) => size(&plan.cells[need]),
        None => size(cell),
    };
    plan.cells.iter().map(|cell| each(cell) * rough.of(amount(&cell.work, networks(cell) as f64))).collect()
}

fn results_bytes(cell: &Cell) -> u64 {
    match &cell.work {
        // The last weights beside the best epoch's.
        Work::Network(work) if work.config.validation.is_some() => 2 * weights_bytes(cell),
        Work::Network(_) => weights_bytes(cell),
        Work::Evaluation(work) => IMAGE_BYTES * work.data.len() as u64,
        Work::Study(_) => 0,
    }
}

fn weights_bytes(cell: &Cell) -> u64 {
    match &cell.work {
        Work::Network(work) => 4 * parameters(&work.graph),
        Work::Evaluation(_) | Work::Study(_) => 0,
    }
}

/// Multiplications of one forward pass, for one example.
fn products(graph: &Graph) -> f64 {
    let of = |layer: &Layer| match layer {
        Layer::Conv2d { geometry: g, .. } => g.positions() * g.taps() * g.out_channels,
        Layer::Linear { geometry: g, .. } => g.inputs * g.outputs,
        _ => 0,
    };
    graph.nodes().iter().map(|node| of(&node.layer) as f64).sum()
}

fn parameters(graph: &Graph) -> u64 {
    graph.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>() as u64).sum()
}

/// Seconds of one thread that each of the `missing` cells takes, while `threads` threads are busy with a network each. The
/// passes of an attack and of training are timed apart, in just that way, for each architecture: so the estimate knows what
/// threads take from one another, but not that the last cell may be alone, and not how many examples are wrong when clean, which
/// are not attacked.
///
/// # Errors
/// If an architecture cannot be run.
pub(crate) fn each(plan: &Plan, missing: &BTreeSet<usize>, threads: usize) -> Result<BTreeMap<usize, f64>> {
    let pool = pool(Some(threads))?;
    let mut timed: BTreeMap<(String, u64), Timing> = BTreeMap::new();
    let mut seconds = BTreeMap::new();
    for &index in missing {
        let cell = &plan.cells[index];
        let first = match &cell.work {
            Work::Network(work) => Some(work.as_ref()),
            Work::Evaluation(_) | Work::Study(_) => cell.needs.iter().find_map(|&need| network(plan, need)),
        };
        // A toy has no network of the list, and is seconds.
        let Some(first) = first else {
            seconds.insert(index, 0.0);
            continue;
        };
        // The networks of an aggregate are alike, so one stands for all.
        let kind = (first.graph.name().to_owned(), parameters(&first.graph));
        let timing = match timed.get(&kind) {
            Some(&timing) => timing,
            None => {
                let timing = Timing::measure(plan.device.executor(), first, &pool)?;
                timed.insert(kind, timing);
                timing
            }
        };
        let networks = cell.needs.len().max(1) as f64;
        seconds.insert(index, timing.of(amount(&cell.work, networks)) * threads as f64);
    }
    Ok(seconds)
}

fn network(plan: &Plan, index: usize) -> Option<&NetworkWork> {
    match &plan.cells[index].work {
        Work::Network(work) => Some(work),
        Work::Evaluation(_) | Work::Study(_) => None,
    }
}

/// Work for networks of one architecture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Amount {
    /// Forward passes with the gradient on the images, for one example.
    attack: f64,
    /// Forward passes with the gradient on the weights, for one example.
    training: f64,
    /// Networks prepared for an attack.
    freeze: f64,
}

/// The work of one cell, whose classifier is made of `networks`.
fn amount(work: &Work, networks: f64) -> Amount {
    // A forward pass alone is about half as much work as one with the gradient on the images.
    const FORWARD: f64 = 0.5;
    // Of the images, where an attack is made on what others have not broken: CIFAR-10's networks leave less, MNIST's more.
    const LEFT_STANDING: f64 = 0.5;
    match work {
        Work::Network(work) => {
            let config = &work.config;
            let batches = (work.data.len() / config.batch_size) as f64;
            let shown = batches * (config.batch_size * config.epochs) as f64;
            let (attacked, freeze) = match &config.method {
                Method::Standard {} => (0.0, 0.0),
                Method::Trades { steps, .. } | Method::Mart { steps, .. } => {
                    (shown * *steps as f64, batches * config.epochs as f64)
                }
                Method::PgdAt { steps, proportion, .. } => {
                    let count = |epoch| proportion.count(epoch, config.epochs, config.batch_size);
                    let attacked: usize = (0..config.epochs).map(count).sum();
                    (batches * (attacked * steps) as f64, batches * config.epochs as f64)
                }
            };
            // Clean and perturbed.
            let both = matches!(config.method, Method::Trades { .. } | Method::Mart { .. });
            let training = if both { 2.0 * shown } else { shown };
            let own = work.attack.as_ref().map_or(0.0, |(attack, _)| steps(&attack.attack));
            let measured = work.measured.len() as f64 * (FORWARD + own);
            Amount { attack: attacked + measured, training, freeze }
        }
        Work::Study(work) => Amount { attack: studied(work, networks), ..Amount::default() },
        Work::Evaluation(work) => {
            // The judged classifier's; the others are a surrogate's.
            let own = (work.networks as f64).min(networks);
            let clean = FORWARD * own;
            let attacked = work.attack.as_ref().map_or(0.0, |attack| {
                let run = |stage: Option<StrategyChoice>| match attack.at {
                    AttackedAt::Itself(strategy) => run_by(stage.unwrap_or(strategy), work.kind, own),
                    AttackedAt::Surrogate { .. } => (networks - own).max(1.0),
                };
                let first = run(None) * steps(&attack.spec.attack);
                let then = attack.then.iter().map(|stage| run(stage.strategy) * steps(&stage.attack));
                first + LEFT_STANDING * then.sum::<f64>() + 3.0 * clean
            });
            Amount { attack: work.data.len() as f64 * (clean + attacked), ..Amount::default() }
        }
    }
}

/// Passes of a study's cell, whose classifier is made of `networks`. A toy is seconds, and not counted.
fn studied(work: &StudyWork, networks: f64) -> f64 {
    const FORWARD: f64 = 0.5;
    match work {
        StudyWork::OneClass(work) => {
            let attack =
                work.attack.as_ref().map_or(0.0, |(attack, _)| steps(&attack.attack) + 3.0 * FORWARD);
            work.data.len() as f64 * (FORWARD + attack)
        }
        StudyWork::Distances(work) => {
            work.data.len() as f64 * (FORWARD + work.attacks.iter().map(steps).sum::<f64>())
        }
        // The trained networks and the same before training.
        StudyWork::Coherence(work) => 2.0 * work.data.len() as f64 * networks,
        StudyWork::Toy(_) => 0.0,
    }
}

/// Networks that run in each step of `strategy` against a classifier made of `networks`.
fn run_by(strategy: StrategyChoice, kind: ClassifierKind, networks: f64) -> f64 {
    match (strategy, kind) {
        (StrategyChoice::Stages(_), _) => 1.0,
        (StrategyChoice::Scores(scores), ClassifierKind::Aggregate(Aggregation::OneVsAll)) => {
            match scores.name {
                StrategyName::Top2 | StrategyName::SoftmaxTop2 => 2.0,
                StrategyName::HighestArm => 1.0,
                StrategyName::MarginT => 2.0 * (networks - 1.0),
                StrategyName::Reweighted => 6.0,
                _ => networks,
            }
        }
        _ => networks,
    }
}

/// Gradient steps of an attack, read from its settings so that a new attack needs no edit here.
fn steps(attack: &robin_attacks::Config) -> f64 {
    let settings = serde_json::to_value(attack).unwrap_or(Value::Null);
    let number = |name: &str| settings[name].as_f64().unwrap_or(1.0);
    // CW in linf runs through its constants, and again when its bound falls: on robust networks hardly more than once.
    let constants =
        (number("largest_constant") / number("first_constant")).ln() / number("constant_factor").ln();
    let rounds = if settings["constant_factor"].is_null() { 1.0 } else { constants.ceil().max(1.0) };
    ["steps", "restarts", "candidates", "searches", "queries"].map(number).iter().product::<f64>() * rounds
}

#[cfg(test)]
mod tests;
