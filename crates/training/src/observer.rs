//! What a training tells the outside.

use serde::{Deserialize, Serialize};

/// Hears of every step and epoch. Nothing it does can change a result.
pub trait Observer: Send {
    /// A step is done.
    fn step(&mut self, _report: &StepReport) {}

    /// An epoch is done.
    fn epoch(&mut self, _report: &EpochReport) {}
}

/// An observer that looks away.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Step in the epoch, from 1.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss of the batch.
    pub loss: f64,
}

/// One epoch; kept in records.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Learning rate.
    pub learning_rate: f64,
    /// Perturbed examples in each batch.
    pub perturbed: usize,
    /// Mean loss over the batches, clean and perturbed examples mixed as they were trained on.
    pub loss: f64,
    /// Share of those examples that were classified correctly at the time.
    pub accuracy: f64,
}
