//! Telling whoever watches what happens; nothing here decides a number.

use crate::record::Kind;

/// Watches a run. Called from several threads; what it does is paid for by the run.
pub trait Observer: Send + Sync {
    /// Before the first cell: how many there are, and the positions of those that will be run.
    fn begin(&self, total: usize, missing: &[usize]) {
        let _ = (total, missing);
    }

    /// A cell starts.
    fn started(&self, cell: &Watched<'_>) {
        let _ = cell;
    }

    /// A cell gets on.
    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        let _ = (cell, progress);
    }

    /// A cell's training is not as it should be. It goes on.
    fn warned(&self, cell: &Watched<'_>, warning: &robin_training::Warning) {
        let _ = (cell, warning);
    }

    /// A checkpoint of a cell's training could not be written. It goes on.
    fn unsaved(&self, cell: &Watched<'_>, error: &robin_training::Error) {
        let _ = (cell, error);
    }

    /// A cell is done, and its record is on disk.
    fn finished(&self, cell: &Watched<'_>, seconds: f64) {
        let _ = (cell, seconds);
    }

    /// A cell has failed; the others go on.
    fn failed(&self, cell: &Watched<'_>, error: &crate::Error) {
        let _ = (cell, error);
    }
}

/// Watches nothing.
impl Observer for () {}

/// The cell that something is said about.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'a> {
    /// Position in the plan.
    pub index: usize,
    /// Network or evaluation.
    pub kind: Kind,
    /// Short, for people.
    pub label: &'a str,
}

/// How far a cell is. Epochs and steps count from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Within an epoch.
    Step {
        /// This epoch.
        epoch: usize,
        /// How many there will be.
        epochs: usize,
        /// This step of it.
        step: usize,
        /// Steps of an epoch.
        steps: usize,
        /// Mean loss of the step's batch.
        loss: f64,
    },
    /// At the end of an epoch.
    Epoch {
        /// This epoch.
        epoch: usize,
        /// How many there will be.
        epochs: usize,
        /// Mean loss over the epoch's batches.
        loss: f64,
        /// Accuracy on the epoch's mixed batches.
        accuracy: f64,
    },
    /// Within an evaluation.
    Examples {
        /// Examples dealt with.
        done: usize,
        /// How many there are.
        total: usize,
        /// Misclassified so far.
        broken: usize,
    },
}
