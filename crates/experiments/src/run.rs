//! One cell: load, train, attack, aggregate, measure.

use robin_aggregation::AttackDescription;
use robin_attacks::{Aim, Loss};
use robin_core::{
    Attack, Batch, Budget, CancelToken, Classifier, Misclassified, Objective, Purpose, Scores, Seed, Strategy,
};
use robin_evaluation::{Clean, Evaluation, Robust, wilson};
use robin_nn::{Executor, Graph, Parameters};
use robin_training::{Checkpointing, Task, Trainer};
use serde_json::{Value, json};

use crate::key::sha256;
use crate::plan::{AttackedAt, EvaluationWork, NetworkWork, PlannedAttack};
use crate::record::Record;
use crate::spec::{AttackSpec, ClassifierKind, TransferAim};
use crate::store::Weights;
use crate::{Error, Observer, Progress, Result, Watched};

/// Misclassified, by example.
pub type Broken = Vec<bool>;

/// What a cell's work may use.
pub(crate) struct Context<'a> {
    pub(crate) executor: &'static dyn Executor,
    pub(crate) batch_size: usize,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) watched: &'a Watched<'a>,
}

impl<'a> Context<'a> {
    pub(crate) fn options<'b>(&'b self, watcher: &'b mut Watcher<'a>) -> robin_evaluation::Options<'b> {
        robin_evaluation::Options { batch_size: self.batch_size, cancel: self.cancel, observer: watcher }
    }
}

/// Trains a network, continued from its checkpoint if there is one, and measures it on its training set: results and
/// weights.
pub(crate) fn train(
    work: &NetworkWork,
    checkpointing: Checkpointing,
    context: &Context<'_>,
) -> Result<(Value, Weights)> {
    let _span = tracing::info_span!("train", cell = context.watched.label).entered();
    let mut network = context
        .executor
        .network(&work.graph, work.parameters())
        .map_err(Error::work("preparing the network"))?;
    let task = Task { data: &work.data, labels: &work.labels, config: &work.config, seed: work.seed };
    let mut watcher = Watcher(context);
    let (mut trainer, _) = Trainer::open(network.as_mut(), task, checkpointing, &mut watcher)
        .map_err(Error::work("continuing the training"))?;
    let summary = trainer.run(&mut watcher, context.cancel).map_err(Error::work("training"))?;
    let trained = trainer.trained();
    let to_file =
        |parameters: &Parameters| parameters.to_safetensors().map_err(Error::work("writing the weights"));
    let weights = Weights {
        chosen: to_file(trained.chosen())?,
        last: trained.best.is_some().then(|| to_file(&trained.last)).transpose()?,
    };

    let seed = work.seed.derive(Purpose::Evaluation, 0);
    let training_set = training_set(work, &weights.chosen, seed, context)?;
    let mut results = json!({
        "weights_sha256": sha256(&weights.chosen),
        "epochs": to_json("training summary", &summary.epochs)?,
        "training_set": training_set,
        // Said beside the numbers: these are the first images, and perhaps not all.
        "training_set_images": { "measured": work.measured.len(), "trained_on": work.data.len() },
    });
    // Where there is none of these, records are what they always were.
    if let Some(epoch) = summary.best_epoch {
        results["best_epoch"] = json!(epoch);
    }
    if let Some(last) = &weights.last {
        results["last"] = json!({ "weights_sha256": sha256(last) });
    }
    if !summary.warnings.is_empty() {
        results["warnings"] = to_json("training warnings", &summary.warnings)?;
    }
    Ok((results, weights))
}

/// Clean accuracy, and where it was trained against attacks accuracy under attack, of a trained network on its own training images.
pub(crate) fn training_set(
    work: &NetworkWork,
    weights: &[u8],
    seed: Seed,
    context: &Context<'_>,
) -> Result<Value> {
    // Measured on what an evaluation will load, not on the network in memory.
    let classifier = classifier(&work.graph, weights, context)?;
    let measured =
        work.measured.relabelled(&work.labels).map_err(Error::work("relabelling the training set"))?;
    let build = |(spec, budget): &(AttackSpec, Budget)| {
        let attack = spec.attack.build(*budget).map_err(Error::work("preparing the attack"))?;
        Ok((attack, OwnLoss(spec.loss)))
    };
    let attack = work.attack.as_ref().map(build).transpose()?;
    let attacked_by =
        attack.as_ref().map(|(attack, loss)| -> AttackAndStrategy<'_> { (attack.as_ref(), loss) });
    let evaluation =
        Evaluation { model: classifier.as_ref(), criterion: &Misclassified, data: &measured, seed };
    let (clean, robust) = measure(&evaluation, attacked_by, context)?;
    Ok(summary_of(&clean, robust.as_ref()))
}

/// Evaluates the classifier that the first of `networks` (architecture and weights, in the aggregate's order) make
/// up; a surrogate is made of the others.
pub(crate) fn evaluate(
    work: &EvaluationWork,
    networks: &[(&Graph, Vec<u8>)],
    context: &Context<'_>,
) -> Result<Value> {
    let _span = tracing::info_span!("evaluate", cell = context.watched.label).entered();
    let (own, others) = networks.split_at(work.networks);
    let model = aggregate(work.kind, own, context)?;
    let evaluation =
        Evaluation { model: model.as_ref(), criterion: &Misclassified, data: &work.data, seed: work.seed };
    let Some(PlannedAttack { spec, then, budget, at }) = &work.attack else {
        let (clean, robust) = measure(&evaluation, None, context)?;
        return evaluated(&clean, robust.as_ref());
    };
    match *at {
        AttackedAt::Itself(strategy) => {
            let build = |description: AttackDescription| {
                let built = description.build(*budget, work.kind.aggregate(), model.num_classes());
                built.map_err(Error::work("preparing the attack"))
            };
            let (attack, built) = build(spec.by(strategy))?;
            let attacked_by: AttackAndStrategy<'_> = (attack.as_ref(), built.as_ref());
            let (clean, mut robust) = measure(&evaluation, Some(attacked_by), context)?;
            for stage in then {
                let Some(robust) = &mut robust else { break };
                let (attack, built) = build(stage.by(strategy))?;
                let attacked_by: AttackAndStrategy<'_> = (attack.as_ref(), built.as_ref());
                further(robust, &evaluation, attacked_by, context)?;
            }
            evaluated(&clean, robust.as_ref())
        }
        AttackedAt::Surrogate { kind, aim } => {
            let attack = spec.attack.build(*budget).map_err(Error::work("preparing the attack"))?;
            let surrogate = aggregate(kind, others, context)?;
            let aim = match aim {
                TransferAim::Untargeted => Aim::Away(spec.loss),
                TransferAim::Targeted => Aim::RunnerUp,
            };
            let mut watcher = Watcher(context);
            let mut options = context.options(&mut watcher);
            let clean = evaluation.clean(&mut options).map_err(Error::work("measuring clean accuracy"))?;
            let found = evaluation
                .transferred(&clean, surrogate.as_ref(), attack.as_ref(), aim, &mut options)
                .map_err(Error::work("transferring the attack"))?;
            let mut results = evaluated(&clean, Some(&found.robust))?;
            // Reported apart: a target that was hit, and not merely a label that was left.
            results["targets_hit"] = to_json("targets", &found.hits)?;
            Ok(results)
        }
    }
}

/// Attacks what `robust` has left standing.
fn further(
    robust: &mut Robust,
    evaluation: &Evaluation<'_>,
    (attack, strategy): AttackAndStrategy<'_>,
    context: &Context<'_>,
) -> Result<()> {
    // To the evaluation what is broken already is as if it were wrong when clean: it is left alone.
    let so_far = Clean { broken: robust.worst.broken.clone(), predictions: robust.worst.predictions.clone() };
    let mut watcher = Watcher(context);
    let mut options = context.options(&mut watcher);
    let next =
        evaluation.robust(&so_far, attack, strategy, &mut options).map_err(Error::work("attacking"))?;
    robust.join(&next);
    Ok(())
}

pub(crate) fn evaluated(clean: &Clean, robust: Option<&Robust>) -> Result<Value> {
    let mut results = summary_of(clean, robust);
    results["clean_examples"] = to_json("clean results", clean)?;
    results["robust_examples"] = to_json("robust results", &robust)?;
    Ok(results)
}

/// The classifier of `kind` that `networks` make up.
pub(crate) fn aggregate(
    kind: ClassifierKind,
    networks: &[(&Graph, Vec<u8>)],
    context: &Context<'_>,
) -> Result<Box<dyn Classifier>> {
    let mut classifiers = networks
        .iter()
        .map(|(graph, weights)| classifier(graph, weights, context))
        .collect::<Result<Vec<_>>>()?;
    match kind {
        ClassifierKind::Single => Ok(classifiers.pop().expect("a single classifier has one network")),
        ClassifierKind::Aggregate(aggregation) => {
            aggregation.build(classifiers).map_err(Error::work("joining the networks"))
        }
    }
}

/// The misclassified examples of an evaluation's record, after the attack if there was one, else clean; and the share of the
/// attack's input gradients that were exactly zero.
pub(crate) fn verdicts(record: &Record) -> Result<(Broken, f64)> {
    let robust: Option<Robust> = record.result("robust_examples")?;
    match robust {
        Some(robust) => Ok((robust.worst.broken, robust.cost.zero_gradient_share())),
        None => {
            let clean: Clean = record.result("clean_examples")?;
            Ok((clean.broken, 0.0))
        }
    }
}

/// The SHA-256 that a network's record promises of its weights.
pub(crate) fn weights_sha256(record: &Record) -> Result<&str> {
    let name = "weights_sha256";
    record.results[name].as_str().ok_or_else(|| record.lacks(name, "is no text".to_owned()))
}

pub(crate) fn classifier(
    graph: &Graph,
    weights: &[u8],
    context: &Context<'_>,
) -> Result<Box<dyn Classifier>> {
    let parameters = Parameters::from_safetensors(graph, weights, context.watched.label)
        .map_err(Error::work("reading the weights"))?;
    context.executor.classifier(graph, &parameters).map_err(Error::work("preparing the network"))
}

fn measure(
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
type AttackAndStrategy<'a> = (&'a dyn Attack, &'a dyn Strategy);

/// The loss of a network's own logits. Written here so that a trained network does not depend, through its
/// key, on the strategies against aggregates.
pub(crate) struct OwnLoss(pub(crate) Loss);

impl Strategy for OwnLoss {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> robin_core::Result<Vec<Box<dyn Objective>>> {
        self.0.prepare(clean, &batch.labels)
    }
}

/// Accuracies with n and interval, for people and programs that do not decode bitmaps.
fn summary_of(clean: &Clean, robust: Option<&Robust>) -> Value {
    let accuracy = |broken: &[bool]| {
        let (n, standing) = (broken.len(), broken.iter().filter(|broken| !**broken).count());
        let interval = wilson(standing as u64, n as u64);
        json!({
            "n": n,
            "accuracy": standing as f64 / n as f64,
            "low": interval.low,
            "high": interval.high,
        })
    };
    json!({
        "clean": accuracy(&clean.broken),
        "worst": robust.map(|robust| accuracy(&robust.worst.broken)),
        "last": robust.map(|robust| accuracy(&robust.last.broken)),
    })
}

pub(crate) fn to_json(what: &'static str, value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| Error::Json { what, source })
}

/// Passes on what training and evaluation report.
pub(crate) struct Watcher<'a>(pub(crate) &'a Context<'a>);

impl Watcher<'_> {
    fn tell(&self, progress: Progress) {
        self.0.observer.progress(self.0.watched, &progress);
    }
}

impl robin_training::Observer for Watcher<'_> {
    fn step(&mut self, report: &robin_training::StepReport) {
        let robin_training::StepReport { epoch, epochs, step, steps, loss } = *report;
        self.tell(Progress::Step { epoch, epochs, step, steps, loss });
    }

    fn epoch(&mut self, report: &robin_training::EpochReport) {
        let robin_training::EpochReport { epoch, epochs, loss, accuracy, .. } = *report;
        self.tell(Progress::Epoch { epoch, epochs, loss, accuracy });
    }

    fn warning(&mut self, warning: &robin_training::Warning) {
        self.0.observer.warned(self.0.watched, warning);
    }

    fn unsaved(&mut self, error: &robin_training::Error) {
        self.0.observer.unsaved(self.0.watched, error);
    }
}

impl robin_evaluation::Observer for Watcher<'_> {
    fn progress(&mut self, progress: &robin_evaluation::Progress) {
        let robin_evaluation::Progress { done, of: total, broken } = *progress;
        self.tell(Progress::Examples { done, total, broken });
    }
}
