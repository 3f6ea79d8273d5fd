//! What a training tells the outside.

use serde::{Deserialize, Serialize};

use crate::{Error, Warning};

/// Hears of every step and epoch. Nothing it does can change a result.
pub trait Observer: Send {
    /// A step is done.
    fn step(&mut self, _report: &StepReport) {}

    /// An epoch is done.
    fn epoch(&mut self, _report: &EpochReport) {}

    /// Something is not as it should be.
    fn warning(&mut self, _warning: &Warning) {}

    /// A checkpoint could not be written. The training goes on, and tries again when the next one is due: what is
    /// trained is worth more than what can be continued.
    fn unsaved(&mut self, _error: &Error) {}
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
    /// Learning rate, of the last step where it changes within the epoch.
    pub learning_rate: f64,
    /// Perturbed examples in each batch.
    pub perturbed: usize,
    /// Mean loss over the batches, clean and perturbed examples mixed as they were trained on.
    pub loss: f64,
    /// Share of those examples that were classified correctly at the time. TRADES and MART show each example twice,
    /// clean and perturbed.
    pub accuracy: f64,
    /// Accuracy on the images that are held out, if some are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationReport>,
}

/// Accuracy on the images that are held out, at the end of an epoch; of the averaged weights where they are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Share classified correctly when clean: the mean over the classes that the network is trained on, so that a
    /// one-vs-all arm gets nothing for always saying no.
    pub clean_accuracy: f64,
    /// The same after the attack; what is wrong when clean counts as misclassified.
    pub robust_accuracy: f64,
    /// For comparison, the share of this epoch's perturbed training examples that were classified correctly at the
    /// time; none if there were none.
    pub training_accuracy: Option<f64>,
}
