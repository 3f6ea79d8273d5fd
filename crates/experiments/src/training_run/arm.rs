//! One arm: train or continue, measure, write.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use robin_core::Purpose;
use robin_training::{Checkpointing, EpochReport, StepReport, Task, Trainer, Warning};
use serde_json::{Value, json};

use super::folder::{Folder, Weights};
use super::options::Options;
use super::watch::{Progress, Remaining};
use super::{Arm, TrainingRun};
use crate::key::{Key, sha256};
use crate::logs::{EpochRow, Logs};
use crate::plan::NetworkWork;
use crate::record::{Kind, Record};
use crate::run::{Context, training_set};
use crate::{Error, Result, Watched, caveats};

/// An arm and all that its work may use.
pub(super) struct Bench<'a> {
    pub(super) run: &'a TrainingRun,
    pub(super) place: usize,
    pub(super) folder: &'a Folder,
    pub(super) options: &'a Options<'a>,
}

/// A trained arm.
pub(super) struct Trained {
    pub(super) record: Record,
    /// The first of its files that could not be written; the same training once more writes them.
    pub(super) unsaved: Option<Error>,
}

/// Trains the arm to its end, and writes its weights and record.
pub(super) fn train(bench: &Bench<'_>) -> Result<Trained> {
    let Bench { run, place, folder, options } = *bench;
    let arm = &run.arms[place];
    let work = &arm.work;
    let _span = tracing::info_span!("train", arm = arm.name).entered();
    let begin = Instant::now();
    let executor = run.device.executor();
    let mut network =
        executor.network(&work.graph, work.parameters()).map_err(Error::work("preparing the network"))?;
    let task = Task { data: &work.data, labels: &work.labels, config: &work.config, seed: work.seed };
    let checkpointing = Checkpointing {
        path: folder.checkpoint(&arm.name),
        every: options.checkpoint_every,
        asked: options.save.clone(),
    };

    let mut early = Early { place, options };
    let (mut trainer, continued) = Trainer::open(network.as_mut(), task, checkpointing.clone(), &mut early)
        .map_err(Error::work("beginning the training"))?;
    options.watch.started(place, &continued);
    let mut logs = Logs::open(&folder.logs(), &arm.name, &trainer.summary().epochs)?;
    let outcome = trainer.run(&mut Watcher::new(bench, &mut logs, trainer.position()), options.cancel);
    let (logged, seconds) = (logs.complete(), begin.elapsed().as_secs_f64());
    outcome.map_err(Error::work("training"))?;
    let trained = trainer.trained();
    drop(trainer);

    let (results, weights) = results(bench, &trained)?;
    let provenance = options.environment.provenance(json!({
        "label": arm.name,
        "seconds": seconds,
        "continued_from_epoch": continued.from.is_some().then_some(continued.epoch),
        "threads": rayon::current_num_threads(),
    }));
    let record = Record {
        kind: Kind::Network,
        key: Key::of(&arm.settings),
        settings: arm.settings.clone(),
        results,
        provenance,
    };
    let saved = folder.save(&arm.name, &record, &weights).and_then(|()| {
        // Only now: what is killed before is continued, or measured again.
        checkpointing.remove().map_err(Error::work("removing the checkpoints"))
    });
    Ok(Trained { record, unsaved: logged.and(saved).err() })
}

/// Weights as the bytes of their file.
type File = (Weights, Vec<u8>);

/// The results of a finished training, with its weights as files.
fn results(bench: &Bench<'_>, trained: &robin_training::Trained) -> Result<(Value, Vec<File>)> {
    let Bench { run, place, options, .. } = *bench;
    let arm = &run.arms[place];
    let to_file = |parameters: &robin_nn::Parameters| {
        parameters.to_safetensors().map_err(Error::work("writing the weights"))
    };
    let watched = Watched { index: place, kind: Kind::Network, label: &arm.name };
    let context = Context {
        executor: run.device.executor(),
        batch_size: arm.work.config.batch_size,
        cancel: options.cancel,
        observer: &(),
        watched: &watched,
    };
    let seed = arm.work.seed.derive(Purpose::Evaluation, 0);
    let last = to_file(&trained.last)?;
    let mut results = json!({
        "weights_sha256": sha256(&last),
        "epochs": to_json("epochs", &trained.summary.epochs)?,
        "warnings": to_json("warnings", &trained.summary.warnings)?,
        "training_set": training_set(&arm.work, &last, seed, &context)?,
        // Said beside the numbers: these are the first images, and perhaps not all.
        "training_set_images": { "measured": arm.work.measured.len(), "trained_on": arm.work.data.len() },
    });
    let lacking = missing_labels(&arm.work)?;
    if !lacking.is_empty() {
        // An accuracy on images of one label is none.
        results["training_set_images"]["missing_labels"] = json!(lacking);
    }
    let mut weights = vec![(Weights::Last, last)];
    if let Some(best) = &trained.best {
        let bytes = to_file(&best.parameters)?;
        results["best"] = json!({
            "epoch": best.epoch,
            "validation": to_json("validation", &best.validation)?,
            "weights_sha256": sha256(&bytes),
        });
        weights.push((Weights::Best, bytes));
    }
    Ok((results, weights))
}

/// Labels of the network that none of the images has on which it is measured.
fn missing_labels(work: &NetworkWork) -> Result<Vec<usize>> {
    let measured =
        work.measured.relabelled(&work.labels).map_err(Error::work("relabelling the training set"))?;
    Ok(caveats::missing(&measured))
}

fn to_json(what: &'static str, value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| Error::Json { what, source })
}

/// Hears of what happens before the first step.
struct Early<'a> {
    place: usize,
    options: &'a Options<'a>,
}

impl robin_training::Observer for Early<'_> {
    fn warning(&mut self, warning: &Warning) {
        self.options.watch.warning(self.place, warning);
    }
}

/// Adds the time to what a training says, and passes it on to whoever watches and to the logs.
struct Watcher<'a> {
    arm: &'a Arm,
    place: usize,
    options: &'a Options<'a>,
    logs: &'a mut Logs,
    remaining: Option<Remaining>,
    /// Where the training stood when it began.
    position: (usize, usize),
    begin: Instant,
    /// When this epoch began, and its steps since then.
    epoch: (Instant, usize),
    last: Option<Progress>,
}

impl<'a> Watcher<'a> {
    fn new(bench: &Bench<'a>, logs: &'a mut Logs, position: (usize, usize)) -> Self {
        let now = Instant::now();
        Self {
            arm: &bench.run.arms[bench.place],
            place: bench.place,
            options: bench.options,
            logs,
            remaining: None,
            position,
            begin: now,
            epoch: (now, 0),
            last: None,
        }
    }

    fn images_per_second(&self) -> f64 {
        let (begin, steps) = self.epoch;
        (steps * self.arm.work.config.batch_size) as f64 / begin.elapsed().as_secs_f64().max(1e-9)
    }
}

impl robin_training::Observer for Watcher<'_> {
    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, epochs, step, steps, loss } = *report;
        self.epoch.1 += 1;
        let config = &self.arm.work.config;
        let remaining = self.remaining.get_or_insert_with(|| Remaining::new(config, self.position, steps));
        let (fraction, seconds_left) =
            remaining.at((epoch - 1, step), steps, self.begin.elapsed().as_secs_f64());
        let images_per_second = self.images_per_second();
        let progress =
            Progress { epoch, epochs, step, steps, loss, images_per_second, fraction, seconds_left };
        self.last = Some(progress);
        self.options.watch.step(self.place, &progress);
    }

    fn epoch(&mut self, report: &EpochReport) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let row = EpochRow {
            seconds: Some(self.epoch.0.elapsed().as_secs_f64()),
            images_per_second: Some(self.images_per_second()),
            time: Some(time),
            ..EpochRow::new(report)
        };
        if let Err(error) = self.logs.append(&row) {
            self.options.watch.unsaved(self.place, &error);
        }
        self.options.watch.epoch(self.place, &row, self.last.as_ref());
        self.epoch = (Instant::now(), 0);
    }

    fn unsaved(&mut self, error: &robin_training::Error) {
        self.options.watch.unsaved(self.place, error);
    }

    fn warning(&mut self, warning: &Warning) {
        self.options.watch.warning(self.place, warning);
    }
}
