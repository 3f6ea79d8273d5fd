//! A network is trained, continued from its checkpoint if there is one, and measured on its training set.

use robin_core::{Budget, Misclassified, Purpose, Seed};
use robin_data::{Dataset, LabelMap};
use robin_evaluation::Evaluation;
use robin_nn::graph::Layer;
use robin_nn::{Graph, Parameters};
use robin_training::{Method, Task, Trainer};
use serde_json::{Map, Value, json};

use super::amount::{Amount, FORWARD, steps};
use super::measure::{AttackAndStrategy, OwnLoss, classifier, measure, summary_of, to_json};
use super::training::TrainingWatcher;
use super::{Computed, Context, TrainedNetwork, Weights, Work};
use crate::key::sha256;
use crate::logs::Logs;
use crate::record::Record;
use crate::spec::{AttackSpec, Normalize};
use crate::{Error, Result, caveats};

/// A network to be trained.
#[derive(Debug)]
pub struct NetworkWork {
    /// The architecture.
    pub graph: Graph,
    /// What its first layer does to the images; `None` = nothing.
    pub normalize: Option<Normalize>,
    /// Training images.
    pub data: Dataset,
    /// What it tells apart.
    pub labels: LabelMap,
    /// All training settings.
    pub config: robin_training::Config,
    /// Of initialisation, batches and training attacks.
    pub seed: Seed,
    /// The first training images, for the accuracy on the training set.
    pub measured: Dataset,
    /// The attack on them, with the training budget; `None` for a network that is trained without attacks, which is the
    /// same network whatever budgets others are trained for.
    pub attack: Option<(AttackSpec, Budget)>,
}

impl NetworkWork {
    /// The network's parameters before training.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::initialise(&self.graph, self.seed);
        if let Some(normalize) = &self.normalize {
            normalize.fill(&mut parameters);
        }
        parameters
    }

    /// Bytes of its weights.
    pub fn weights_bytes(&self) -> u64 {
        let values: usize =
            self.graph.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        4 * values as u64
    }

    /// Clean accuracy, and where it was trained against attacks accuracy under attack, on its own training images.
    fn training_set(&self, weights: &[u8], context: &Context<'_>) -> Result<Value> {
        let seed = self.seed.derive(Purpose::Evaluation, 0);
        // Measured on what an evaluation will load, not on the network in memory.
        let model = classifier(&self.graph, weights, context.executor, context.watched.label)?;
        let measured =
            self.measured.relabelled(&self.labels).map_err(Error::work("relabelling the training set"))?;
        let build = |(spec, budget): &(AttackSpec, Budget)| {
            let attack = spec.attack.build(*budget).map_err(Error::work("preparing the attack"))?;
            Ok((attack, OwnLoss(spec.loss)))
        };
        let attack = self.attack.as_ref().map(build).transpose()?;
        let attacked_by =
            attack.as_ref().map(|(attack, loss)| -> AttackAndStrategy<'_> { (attack.as_ref(), loss) });
        let evaluation =
            Evaluation { model: model.as_ref(), criterion: &Misclassified, data: &measured, seed };
        let (clean, robust) = measure(&evaluation, attacked_by, context)?;
        Ok(summary_of(&clean, robust.as_ref()))
    }

    /// Labels of the network that none of the images has on which it is measured.
    fn missing_labels(&self) -> Result<Vec<usize>> {
        let measured =
            self.measured.relabelled(&self.labels).map_err(Error::work("relabelling the training set"))?;
        Ok(caveats::missing(&measured))
    }

    /// What a finished training is kept as: results, with its weights as files.
    fn results(&self, trained: &robin_training::Trained, context: &Context<'_>) -> Result<(Value, Weights)> {
        let to_file =
            |parameters: &Parameters| parameters.to_safetensors().map_err(Error::work("writing the weights"));
        let weights = Weights {
            chosen: to_file(trained.chosen())?,
            last: trained.best.is_some().then(|| to_file(&trained.last)).transpose()?,
        };
        let summary = &trained.summary;
        let mut results = json!({
            "weights_sha256": sha256(&weights.chosen),
            "epochs": to_json("training summary", &summary.epochs)?,
            "training_set": self.training_set(&weights.chosen, context)?,
            // Said beside the numbers: these are the first images, and perhaps not all.
            "training_set_images": { "measured": self.measured.len(), "trained_on": self.data.len() },
        });
        // Where there is none of these, records are what they always were.
        let lacking = self.missing_labels()?;
        if !lacking.is_empty() {
            // An accuracy on images of one label is none.
            results["training_set_images"]["missing_labels"] = json!(lacking);
        }
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
}

impl Work for NetworkWork {
    fn run(&self, _networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let watched = context.watched;
        let _span = tracing::info_span!("train", cell = watched.label).entered();
        let mut network = context
            .executor
            .network(&self.graph, self.parameters())
            .map_err(Error::work("preparing the network"))?;
        let task = Task { data: &self.data, labels: &self.labels, config: &self.config, seed: self.seed };
        let mut watcher = TrainingWatcher::new(&self.config, context);
        let (mut trainer, continued) =
            Trainer::open(network.as_mut(), task, context.checkpointing.clone(), &mut watcher)
                .map_err(Error::work("continuing the training"))?;
        context.observer.continued(watched, &continued);
        let logs = context.logs.as_ref();
        let logs = logs.map(|folder| Logs::open(folder, watched.label, &trainer.summary().epochs));
        watcher.begin(trainer.position(), logs.transpose()?);
        let outcome = trainer.run(&mut watcher, context.cancel);
        // Also after a stop.
        let logged = watcher.complete_logs();
        outcome.map_err(Error::work("training"))?;
        let trained = trainer.trained();
        drop(trainer);
        let (results, weights) = self.results(&trained, context)?;
        let mut provenance = Map::new();
        if continued.from.is_some() {
            provenance.insert("continued_from_epoch".to_owned(), json!(continued.epoch));
        }
        Ok(Computed { results, weights: Some(weights), provenance, unsaved: logged.err() })
    }

    fn amount(&self, _networks: f64) -> Amount {
        let config = &self.config;
        let batches = (self.data.len() / config.batch_size) as f64;
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
        let own = self.attack.as_ref().map_or(0.0, |(attack, _)| steps(&attack.attack));
        let measured = self.measured.len() as f64 * (FORWARD + own);
        Amount { attack: attacked + measured, training, freeze }
    }

    fn result_bytes(&self) -> u64 {
        // The last weights beside the best epoch's.
        self.weights_bytes() * if self.config.validation.is_some() { 2 } else { 1 }
    }

    fn network(&self) -> Option<&NetworkWork> {
        Some(self)
    }
}

/// Multiplications of one forward pass, for one example.
pub(crate) fn products(graph: &Graph) -> f64 {
    let of = |layer: &Layer| match layer {
        Layer::Conv2d { geometry: g, .. } => g.positions() * g.taps() * g.out_channels,
        Layer::Linear { geometry: g, .. } => g.inputs * g.outputs,
        _ => 0,
    };
    graph.nodes().iter().map(|node| of(&node.layer) as f64).sum()
}

/// The SHA-256 that a network's record promises of its weights.
pub(crate) fn weights_sha256(record: &Record) -> Result<&str> {
    let name = "weights_sha256";
    record.results[name].as_str().ok_or_else(|| record.lacks(name, "is no text".to_owned()))
}
