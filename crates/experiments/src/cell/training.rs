//! What a training tells while it goes on: how fast it is, how long it will take, and its logs.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use robin_training::{Config, EpochReport, Method, StepReport, Warning};

use super::Context;
use crate::logs::{EpochRow, Logs};
use crate::observer::TrainingStep;
use crate::{Progress, Result};

/// Adds the time to what a training says, and passes it on to whoever watches and to the logs.
pub(super) struct TrainingWatcher<'a> {
    config: &'a Config,
    context: &'a Context<'a>,
    logs: Option<Logs>,
    /// Where the training stood when the clock started.
    position: (usize, usize),
    begin: Instant,
    remaining: Option<Remaining>,
    /// When this epoch began, and its steps since then.
    epoch: (Instant, usize),
    last: Option<TrainingStep>,
}

impl<'a> TrainingWatcher<'a> {
    pub(super) fn new(config: &'a Config, context: &'a Context<'a>) -> Self {
        let now = Instant::now();
        Self {
            config,
            context,
            logs: None,
            position: (0, 0),
            begin: now,
            remaining: None,
            epoch: (now, 0),
            last: None,
        }
    }

    /// The training goes on from `position`.
    pub(super) fn begin(&mut self, position: (usize, usize), logs: Option<Logs>) {
        let now = Instant::now();
        (self.position, self.logs, self.begin, self.epoch) = (position, logs, now, (now, 0));
    }

    /// Writes what is not yet in the logs.
    pub(super) fn complete_logs(&mut self) -> Result<()> {
        self.logs.as_mut().map_or(Ok(()), Logs::complete)
    }

    fn images_per_second(&self) -> f64 {
        let (begin, steps) = self.epoch;
        (steps * self.config.batch_size) as f64 / begin.elapsed().as_secs_f64().max(1e-9)
    }
}

impl robin_training::Observer for TrainingWatcher<'_> {
    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, epochs, step, steps, loss } = *report;
        self.epoch.1 += 1;
        let remaining =
            self.remaining.get_or_insert_with(|| Remaining::new(self.config, self.position, steps));
        let (fraction, seconds_left) =
            remaining.at((epoch - 1, step), steps, self.begin.elapsed().as_secs_f64());
        let images_per_second = self.images_per_second();
        let now =
            TrainingStep { epoch, epochs, step, steps, loss, images_per_second, fraction, seconds_left };
        self.last = Some(now);
        self.context.observer.progress(self.context.watched, &Progress::Step(now));
    }

    fn epoch(&mut self, report: &EpochReport) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let row = EpochRow {
            seconds: Some(self.epoch.0.elapsed().as_secs_f64()),
            images_per_second: Some(self.images_per_second()),
            time: Some(time),
            ..EpochRow::new(report)
        };
        let Context { observer, watched, .. } = *self.context;
        if let Some(Err(error)) = self.logs.as_mut().map(|logs| logs.append(&row)) {
            observer.unsaved(watched, &error);
        }
        observer.progress(watched, &Progress::Epoch { row, last: self.last });
        self.epoch = (Instant::now(), 0);
    }

    fn unsaved(&mut self, error: &robin_training::Error) {
        self.context.observer.unsaved(self.context.watched, error);
    }

    fn warning(&mut self, warning: &Warning) {
        self.context.observer.warned(self.context.watched, warning);
    }
}

/// Estimates how long a training will take from how long its part since `begin` has taken.
#[derive(Debug)]
struct Remaining {
    /// Work of each epoch, in any unit.
    work: Vec<f64>,
    /// Work that was done when the clock started.
    before: f64,
}
impl Remaining {
    /// At the beginning of step `step` (from 0) of `steps` in epoch `epoch` (from 0).
    fn new(config: &Config, (epoch, step): (usize, usize), steps: usize) -> Self {
        let work = (0..config.epochs).map(|epoch| work(config, epoch)).collect();
        let mut remaining = Self { work, before: 0.0 };
        remaining.before = remaining.done((epoch, step), steps);
        remaining
    }

    /// Share of all work done, and seconds left, after `seconds` brought the training to `place`.
    fn at(&self, place: (usize, usize), steps: usize, seconds: f64) -> (f64, f64) {
        let (done, total) = (self.done(place, steps), self.work.iter().sum::<f64>());
        let pace = seconds / (done - self.before).max(f64::MIN_POSITIVE);
        (done / total, (total - done) * pace)
    }

    fn done(&self, (epoch, step): (usize, usize), steps: usize) -> f64 {
        let part = self.work.get(epoch).map_or(0.0, |work| work * step as f64 / steps.max(1) as f64);
        self.work[..epoch].iter().sum::<f64>() + part
    }
}

/// Work of an epoch for each of its images: a training pass has three products where a pass of an attack has two.
fn work(config: &Config, epoch: usize) -> f64 {
    let (passes, attacked) = match &config.method {
        Method::Standard {} => (1.0, 0.0),
        Method::PgdAt { steps, proportion, .. } => (1.0, proportion.at(epoch, config.epochs) * *steps as f64),
        Method::Trades { steps, .. } | Method::Mart { steps, .. } => (2.0, *steps as f64),
    };
    3.0 * passes + 2.0 * attacked
}
