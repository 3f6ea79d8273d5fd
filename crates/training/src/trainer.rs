//! A training that can be stopped after any step and continued bit for bit.

use std::time::Instant;

use robin_core::{Batch, CancelToken, ExampleId, Purpose, Seed};
use robin_data::{Dataset, LabelMap, epoch};
use robin_nn::{Network, Parameters};

use crate::averaging::follow;
use crate::checkpoint::{Checkpointing, Continued, Files, Identity};
use crate::device_resident::{self, Prepared};
use crate::state::State;
use crate::step::{Examples, StepResult, examples, gradients, perturbed_count};
use crate::validation::{Division, measure};
use crate::watchdog::after_epoch;
use crate::{
    Best, Config, EpochReport, Error, Observer, Result, StepReport, Summary, Tally, Trained,
    ValidationReport, Warning,
};

/// What is to be learned, and how. With a network's first parameters it decides the result.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The training images.
    pub data: &'a Dataset,
    /// What is told apart.
    pub labels: &'a LabelMap,
    /// All settings.
    pub config: &'a Config,
    /// Of batches, augmentation and training attacks.
    pub seed: Seed,
}

/// A training between two steps. Its network holds the present parameters.
pub struct Trainer<'a> {
    network: &'a mut dyn Network,
    task: Task<'a>,
    division: Division,
    /// Mapped labels of the images that are trained on.
    labels: Vec<u32>,
    /// Batches of the present epoch.
    batches: Vec<Vec<ExampleId>>,
    state: State,
    files: Option<Files>,
    /// Whether the network has the images and the optimiser's velocities on its own device.
    on_device: bool,
}

impl<'a> Trainer<'a> {
    /// Before the first step; no files are touched.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Classes`], [`Error::Data`]: what cannot be trained is refused before any work.
    pub fn new(network: &'a mut dyn Network, task: Task<'a>) -> Result<Self> {
        let Task { data, labels, config, .. } = task;
        config.validate()?;
        labels.validate(data.num_classes())?;
        let [_, height, width] = data.shape();
        config.augmentation().validate(height, width)?;
        let classes = labels.num_classes(data.num_classes());
        let outputs = network.graph().num_outputs();
        if outputs != classes {
            return Err(Error::Classes { outputs, classes });
        }
        config.method.validate_at(network.resolution())?;
        let division = Division::new(data, config.validation.as_ref())?;
        let mapped = labels.apply_all(data.labels())?;
        let labels = division.training.iter().map(|&index| mapped[index as usize]).collect();
        let state = State::before(config.momentum, config.weight_decay, classes);
        let mut trainer = Self {
            network,
            task,
            division,
            labels,
            batches: Vec::new(),
            state,
            files: None,
            on_device: false,
        };
        trainer.batches = trainer.batches_of(0)?;
        Ok(trainer)
    }

    /// Continues from the checkpoint that `checkpointing` names, or begins where there is none. The network must hold
    /// its first parameters; a checkpoint's replace them.
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`Error::Foreign`] if the checkpoint is of another training; [`Error::Damaged`] if it is not
    /// what was written and there is none before it (if there is one, that is used, with a [`Warning`]).
    pub fn open(
        network: &'a mut dyn Network,
        task: Task<'a>,
        checkpointing: Checkpointing,
        observer: &mut dyn Observer,
    ) -> Result<(Self, Continued)> {
        let mut trainer = Self::new(network, task)?;
        let identity = Identity::of(trainer.network.graph(), &task)?;
        let (files, found) = Files::open(checkpointing, identity)?;
        let mut continued = Continued::default();
        if let Some(found) = found {
            let (state, parameters) =
                found.content.into_state(trainer.network.parameters(), &trainer.state)?;
            trainer.network.restore(parameters)?;
            trainer.state = state;
            let (epoch, step) = (trainer.state.epoch, trainer.state.step);
            let (epochs, steps) = (task.config.epochs, trainer.batches.len());
            if epoch > epochs || step > steps {
                let reason = format!("it is at step {step} of {steps} after epoch {epoch} of {epochs}");
                return Err(Error::Damaged { path: found.path, reason });
            }
            if !trainer.is_finished() {
                trainer.batches = trainer.batches_of(trainer.state.epoch)?;
            }
            tracing::info!(from = %found.path.display(), epoch, step, "training continued");
            continued = Continued { from: Some(found.path), epoch, step, damaged: None };
            if let Some((path, reason)) = found.damaged {
                continued.damaged = Some(path.clone());
                trainer.warn(Warning::CheckpointDamaged { path, reason }, observer);
            }
        }
        trainer.files = Some(files);
        Ok((trainer, continued))
    }

    /// Whether every epoch is over.
    pub fn is_finished(&self) -> bool {
        self.state.epoch == self.task.config.epochs
    }

    /// Epochs that are over, and steps done of the next.
    pub fn position(&self) -> (usize, usize) {
        (self.state.epoch, self.state.step)
    }

    /// Trains to the end. With checkpoints, one is written whenever its time has come or somebody asks, before a
    /// return because of `cancel`, and at the end. One that cannot be written is no reason to stop: the observer
    /// hears of it.
    ///
    /// # Errors
    /// As [`Trainer::step`], and [`Error::Io`] if the checkpoint before a return because of `cancel` cannot be written.
    pub fn run(&mut self, observer: &mut dyn Observer, cancel: &CancelToken) -> Result<Summary> {
        // The clock decides when files are written, and nothing else.
        let mut saved = Instant::now();
        while !self.is_finished() {
            match self.step(observer, cancel) {
                Ok(()) => {}
                Err(error) => {
                    if error.is_cancelled() {
                        self.save()?;
                    }
                    return Err(error);
                }
            }
            if self.files.as_mut().is_some_and(|files| files.is_due(saved.elapsed())) {
                self.save_or_tell(observer)?;
                saved = Instant::now();
            }
        }
        self.save_or_tell(observer)?;
        Ok(self.summary())
    }

    /// A checkpoint that may fail, if only its file is at fault.
    fn save_or_tell(&mut self, observer: &mut dyn Observer) -> Result<()> {
        match self.save() {
            Err(error @ (Error::Io { .. } | Error::Damaged { .. })) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no checkpoint was written");
                observer.unsaved(&error);
                Ok(())
            }
            other => other,
        }
    }

    /// One step, and after the last of an epoch whatever ends it; nothing once finished. After an error the training
    /// stands where it stood before the step (of an epoch's end, after its last step).
    ///
    /// # Errors
    /// [`Error::Diverged`] when a loss or gradient is no number; an error with [`Error::is_cancelled`] when stopped.
    pub fn step(&mut self, observer: &mut dyn Observer, cancel: &CancelToken) -> Result<()> {
        if self.is_finished() {
            return Ok(());
        }
        cancel.check()?;
        if self.state.step < self.batches.len() {
            if device_resident::applies(self.task.config) && self.network.device_resident().is_some() {
                self.train_on_device(observer)?;
            } else {
                self.train(observer, cancel)?;
            }
        }
        if self.state.step == self.batches.len() {
            self.end_epoch(observer, cancel)?;
        }
        Ok(())
    }

    /// Writes a checkpoint now, if this training has any.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; [`Error::Network`] if a device fails, and then the file is what it was.
    pub fn save(&mut self) -> Result<()> {
        self.settle()?;
        match &mut self.files {
            Some(files) => files.save(self.network.parameters(), &self.state),
            None => Ok(()),
        }
    }

    /// What has happened so far.
    pub fn summary(&self) -> Summary {
        Summary {
            epochs: self.state.epochs.clone(),
            best_epoch: self.state.best.as_ref().map(|best| best.epoch),
            warnings: self.state.warnings.clone(),
        }
    }

    /// The training's results as they are now (of a network that trains on a device: as they were when an epoch ended or
    /// [`Trainer::save`] was called last).
    pub fn trained(&self) -> Trained {
        Trained { summary: self.summary(), last: self.last().clone(), best: self.state.best.clone() }
    }

    /// The present parameters, or their average.
    fn last(&self) -> &Parameters {
        self.state.average.as_ref().unwrap_or_else(|| self.network.parameters())
    }

    fn batches_of(&self, number: usize) -> Result<Vec<Vec<ExampleId>>> {
        let Task { config, seed, .. } = self.task;
        let mut batches = epoch(&self.labels, config.sampling, config.batch_size, number, seed)?;
        // From places among the images that are trained on to places in the file.
        for id in batches.iter_mut().flatten() {
            id.index = self.division.training[id.index as usize];
        }
        Ok(batches)
    }

    fn train(&mut self, observer: &mut dyn Observer, cancel: &CancelToken) -> Result<()> {
        let Task { data, labels, config, seed } = self.task;
        let State { epoch, step, .. } = self.state;
        let _span = tracing::debug_span!("step", epoch = epoch + 1, step = step + 1).entered();
        let ids = &self.batches[step];
        let batch = data.batch(ids, labels)?;
        let result = match self.compute(batch, seed.derive(Purpose::Epoch, epoch as u64), cancel) {
            Ok(result) => result,
            Err(
                Error::Core(source @ robin_core::Error::NotFinite { .. })
                | Error::Network(robin_nn::Error::Core(source @ robin_core::Error::NotFinite { .. })),
            ) => return Err(self.diverged(source.to_string())),
            Err(other) => return Err(other),
        };
        let rate = config.learning_rate_at(epoch, step, self.batches.len());
        let sgd = &mut self.state.sgd;
        self.network.update(&mut |tensors| sgd.step(tensors, &result.gradients, rate));
        if let Some(settings) = config.weight_averaging {
            follow(&mut self.state.average, self.network.parameters(), settings);
        }
        self.count(result.loss, &result.tally, observer);
        Ok(())
    }

    /// Takes a step's numbers in, and tells them.
    fn count(&mut self, loss: f64, tally: &Tally, observer: &mut dyn Observer) {
        let (epochs, steps) = (self.task.config.epochs, self.batches.len());
        let State { epoch, step, .. } = self.state;
        self.state.loss += loss;
        self.state.tally.merge(tally);
        self.state.step += 1;
        observer.step(&StepReport { epoch: epoch + 1, epochs, step: step + 1, steps, loss });
    }

    /// A step that the network makes on its own device.
    fn train_on_device(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Task { data, labels, config, seed } = self.task;
        let State { epoch, step, .. } = self.state;
        let _span = tracing::debug_span!("step", epoch = epoch + 1, step = step + 1).entered();
        let ids = &self.batches[step];
        let of = |id: &ExampleId| labels.apply(data.labels()[id.index as usize]);
        let mapped = ids.iter().map(of).collect::<robin_data::Result<Vec<u32>>>()?;
        let seed = seed.derive(Purpose::Epoch, epoch as u64);
        let count = perturbed_count(config, epoch);
        let prepared = Prepared::new(config, (ids, mapped), count, (step, seed))?;
        let rate = config.learning_rate_at(epoch, step, self.batches.len());
        let resident = self.network.device_resident().expect("the caller asked for it");
        if !self.on_device {
            resident.load(&data.pixels()?, data.shape())?;
            resident.set_velocities(self.state.sgd.velocities())?;
            self.on_device = true;
        }
        let outcome = resident.step(&prepared.step(config, ids, rate))?;
        if !outcome.loss.is_finite() {
            return Err(self.diverged(format!("the mean loss is {}", outcome.loss)));
        }
        if outcome.not_finite > 0 {
            return Err(self.diverged(format!("{} values of the gradient", outcome.not_finite)));
        }
        let tally = prepared.tally(self.state.tally.classes(), &outcome.predictions);
        self.count(outcome.loss, &tally, observer);
        Ok(())
    }

    /// Brings parameters and velocities from a device, if they are there.
    fn settle(&mut self) -> Result<()> {
        self.network.settle()?;
        if self.on_device
            && let Some(resident) = self.network.device_resident()
        {
            let velocities = resident.velocities()?;
            self.state.sgd = self.state.sgd.clone().with_velocities(velocities);
        }
        Ok(())
    }

    fn compute(&mut self, mut batch: Batch, epoch_seed: Seed, cancel: &CancelToken) -> Result<StepResult> {
        let config = self.task.config;
        let State { epoch, step, .. } = self.state;
        batch = config.augmentation().apply(&batch, epoch_seed.derive(Purpose::Crop, 0))?;
        let count = perturbed_count(config, epoch);
        let examples: Examples = examples(self.network, config, batch, count, (step, epoch_seed), cancel)?;
        let before = self.network.parameters().buffers.clone();
        let result = gradients(self.network, config, &examples)?;
        match result.fault(self.network.parameters()) {
            None => Ok(result),
            Some(found) => {
                // The running statistics have moved already; the training is to stand where it stood.
                let trained = self.network.parameters().trained.clone();
                self.network.restore(Parameters { trained, buffers: before })?;
                Err(self.diverged(found))
            }
        }
    }

    fn diverged(&self, found: String) -> Error {
        let State { epoch, step, .. } = self.state;
        Error::Diverged {
            epoch: epoch + 1,
            step: step + 1,
            found,
            examples: self.batches[step].iter().map(|id| id.index).collect(),
            checkpoint: self.files.as_ref().and_then(Files::last),
        }
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer, cancel: &CancelToken) -> Result<()> {
        self.settle()?;
        let (config, number, steps) = (self.task.config, self.state.epoch, self.batches.len());
        let validation = self.validate(cancel)?;
        let report = EpochReport {
            epoch: number + 1,
            epochs: config.epochs,
            learning_rate: config.learning_rate_at(number, steps - 1, steps),
            perturbed: perturbed_count(config, number),
            loss: self.state.loss / steps as f64,
            accuracy: self.state.tally.accuracy(),
            validation,
        };
        tracing::debug!(epoch = report.epoch, loss = report.loss, accuracy = report.accuracy, "epoch done");
        // Of the next epoch, before anything changes: it is what can still fail.
        let batches = self.batches_of(number + 1)?;
        for warning in after_epoch(&report, &self.state.epochs, &self.state.tally) {
            self.warn(warning, observer);
        }
        if let Some(validation) = validation {
            let better = |best: &Best| validation.robust_accuracy > best.validation.robust_accuracy;
            if self.state.best.as_ref().is_none_or(better) {
                let parameters = self.last().clone();
                self.state.best = Some(Best { epoch: report.epoch, validation, parameters });
            }
        }
        self.batches = batches;
        self.state.epochs.push(report);
        self.state.epoch += 1;
        self.state.step = 0;
        self.state.loss = 0.0;
        self.state.tally = Tally::new(self.state.tally.classes());
        observer.epoch(&report);
        Ok(())
    }

    fn validate(&mut self, cancel: &CancelToken) -> Result<Option<ValidationReport>> {
        let Task { data, labels, config, seed } = self.task;
        let Some(settings) = &config.validation else { return Ok(None) };
        let model = match &self.state.average {
            None => self.network.freeze()?,
            Some(average) => {
                let present = self.network.parameters().clone();
                self.network.restore(average.clone())?;
                let model = self.network.freeze();
                self.network.restore(present)?;
                model?
            }
        };
        let (held_out, batch_size) = (&self.division.held_out, config.batch_size);
        let (clean_accuracy, robust_accuracy) =
            measure(&*model, (data, labels), held_out, settings, batch_size, seed, cancel)?;
        let training_accuracy = self.state.tally.perturbed_accuracy();
        Ok(Some(ValidationReport { clean_accuracy, robust_accuracy, training_accuracy }))
    }

    fn warn(&mut self, warning: Warning, observer: &mut dyn Observer) {
        tracing::warn!("{warning}");
        observer.warning(&warning);
        self.state.warnings.push(warning);
    }
}
