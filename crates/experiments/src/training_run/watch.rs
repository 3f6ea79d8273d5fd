//! What a training tells whoever watches; nothing here decides a number.

use robin_training::{Config, Continued, Method, Warning};

use super::TrainingRun;
use crate::Error;
use crate::logs::EpochRow;
use crate::record::Record;

/// Watches a training. Called from several threads, with the place of the arm in [`TrainingRun::arms`].
pub trait Watch: Send + Sync {
    /// Before the first step: the arms that will be trained; the others are finished.
    fn begin(&self, run: &TrainingRun, missing: &[usize]) {
        let _ = (run, missing);
    }

    /// An arm begins, or goes on from a checkpoint.
    fn started(&self, arm: usize, continued: &Continued) {
        let _ = (arm, continued);
    }

    /// An arm gets on.
    fn step(&self, arm: usize, progress: &Progress) {
        let _ = (arm, progress);
    }

    /// An epoch is over. No progress is known if the training went on after the epoch's last step.
    fn epoch(&self, arm: usize, row: &EpochRow, progress: Option<&Progress>) {
        let _ = (arm, row, progress);
    }

    /// Something is not as it should be.
    fn warning(&self, arm: usize, warning: &Warning) {
        let _ = (arm, warning);
    }

    /// Something could not be written on the way. The training goes on, and writes it later if it can.
    fn unsaved(&self, arm: usize, error: &dyn std::error::Error) {
        let _ = (arm, error);
    }

    /// An arm is done, and its record is on disk.
    fn finished(&self, arm: usize, record: &Record) {
        let _ = (arm, record);
    }

    /// An arm has failed; the others go on.
    fn failed(&self, arm: usize, error: &Error) {
        let _ = (arm, error);
    }
}

/// Watches nothing.
impl Watch for () {}

/// How far an arm is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Step in the epoch, from 1.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss of the step's batch.
    pub loss: f64,
    /// Training images per second in this epoch.
    pub images_per_second: f64,
    /// Share of the work that is done.
    pub fraction: f64,
    /// Estimate of the seconds until it is all done.
    pub seconds_left: f64,
}

/// Estimates how long a training will take from how long its part since `begin` has taken.
#[derive(Debug)]
pub struct Remaining {
    /// Work of each epoch, in any unit.
    work: Vec<f64>,
    /// Work that was done when the clock started.
    before: f64,
}

impl Remaining {
    /// At the beginning of step `step` (from 0) of `steps` in epoch `epoch` (from 0).
    pub fn new(config: &Config, (epoch, step): (usize, usize), steps: usize) -> Self {
        let work = (0..config.epochs).map(|epoch| work(config, epoch)).collect();
        let mut remaining = Self { work, before: 0.0 };
        remaining.before = remaining.done((epoch, step), steps);
        remaining
    }

    /// Share of all work done, and seconds left, after `seconds` brought the training to `place`.
    pub fn at(&self, place: (usize, usize), steps: usize, seconds: f64) -> (f64, f64) {
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
