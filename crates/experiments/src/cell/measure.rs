//! What several kinds of cells do: put classifiers together, measure them, and say what came out.

use robin_attacks::Loss;
use robin_core::{Attack, Batch, Classifier, Objective, Scores, Strategy};
use robin_evaluation::{Clean, Evaluation, Robust, wilson};
use robin_nn::{Executor, Graph, Parameters};
use serde_json::{Value, json};

use super::{Context, TrainedNetwork};
use crate::spec::ClassifierKind;
use crate::{Error, Progress, Result};

/// The network of `graph` with `weights`; `file` names them in messages.
pub(super) fn classifier(
    graph: &Graph,
    weights: &[u8],
    executor: &dyn Executor,
    file: &str,
) -> Result<Box<dyn Classifier>> {
    let parameters =
        Parameters::from_safetensors(graph, weights, file).map_err(Error::work("reading the weights"))?;
    executor.classifier(graph, &parameters).map_err(Error::work("preparing the network"))
}

/// The classifier of `kind` that `networks` make up.
pub(crate) fn aggregate(
    kind: ClassifierKind,
    networks: &[TrainedNetwork<'_>],
    executor: &dyn Executor,
    file: &str,
) -> Result<Box<dyn Classifier>> {
    let mut classifiers = networks
        .iter()
        .map(|network| classifier(&network.work.graph, &network.weights, executor, file))
        .collect::<Result<Vec<_>>>()?;
    match kind {
        ClassifierKind::Single => Ok(classifiers.pop().expect("a single classifier has one network")),
        ClassifierKind::Aggregate(aggregation) => {
            aggregation.build(classifiers).map_err(Error::work("joining the networks"))
        }
    }
}

/// The classifier that stands first among `networks`.
pub(super) fn first(networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Box<dyn Classifier>> {
    let network = networks.first().expect("the plan gives this cell one network");
    classifier(&network.work.graph, &network.weights, context.executor, context.watched.label)
}

/// Clean, and under an attack if there is one.
pub(super) fn measure(
    evaluation: &Evaluation<'_>,
    attacked_by: Option<AttackAndStrategy<'_>>,
    context: &Context<'_>,
) -> Result<(Clean, Option<Robust>)> {
    let mut watcher = Watcher(context);
    let mut options = context.options(&mut watcher);
    let clean = evaluation.clean(&mut options).map_err(Error::work("measuring clean accuracy"))?;
    let Some((attack, strategy)) = attacked_by else { return Ok((clean, None)) };
    let robust =
        evaluation.robust(&clean, attack, strategy, &mut options).map_err(Error::work("attacking"))?;
    Ok((clean, Some(robust)))
}

/// A base attack and what it maximises.
pub(super) type AttackAndStrategy<'a> = (&'a dyn Attack, &'a dyn Strategy);

/// The loss of a network's own logits. Written here so that a trained network does not depend, through its
/// key, on the strategies against aggregates.
pub(super) struct OwnLoss(pub(super) Loss);

impl Strategy for OwnLoss {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> robin_core::Result<Vec<Box<dyn Objective>>> {
        self.0.prepare(clean, &batch.labels)
    }
}

/// Accuracies, and every example's result.
pub(super) fn evaluated(clean: &Clean, robust: Option<&Robust>) -> Result<Value> {
    let mut results = summary_of(clean, robust);
    results["clean_examples"] = to_json("clean results", clean)?;
    results["robust_examples"] = to_json("robust results", &robust)?;
    Ok(results)
}

/// Accuracies with n and interval, for people and programs that do not decode bitmaps.
pub(super) fn summary_of(clean: &Clean, robust: Option<&Robust>) -> Value {
    let accuracy = |misclassified: &[bool]| {
        let (n, correct) =
            (misclassified.len(), misclassified.iter().filter(|misclassified| !**misclassified).count());
        let interval = wilson(correct as u64, n as u64);
        json!({
            "n": n,
            "accuracy": correct as f64 / n as f64,
            "low": interval.low,
            "high": interval.high,
        })
    };
    json!({
        "clean": accuracy(&clean.misclassified),
        "worst": robust.map(|robust| accuracy(&robust.worst.misclassified)),
        "last": robust.map(|robust| accuracy(&robust.last.misclassified)),
    })
}

pub(crate) fn to_json(what: &'static str, value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| Error::Json { what, source })
}

/// Passes on how far an evaluation is.
pub(super) struct Watcher<'a>(pub(super) &'a Context<'a>);

impl robin_evaluation::Observer for Watcher<'_> {
    fn progress(&mut self, progress: &robin_evaluation::Progress) {
        let robin_evaluation::Progress { done, of: total, misclassified } = *progress;
        self.0.observer.progress(self.0.watched, &Progress::Examples { done, total, misclassified });
    }
}
