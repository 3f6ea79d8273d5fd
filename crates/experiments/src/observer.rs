//! Telling whoever watches what happens; nothing here decides a number.

use robin_training::{Continued, Warning};

use crate::Error;
use crate::logs::EpochRow;
use crate::record::{Kind, Record};

/// Watches a run. Called from several threads; what it does is paid for by the run.
///
/// Who only adds to what another does says which one in [`Observer::inner`], and writes down no more than what differs.
pub trait Observer: Send + Sync {
    /// Who is told whatever this one does not listen to.
    fn inner(&self) -> Option<&dyn Observer> {
        None
    }

    /// Before the first cell: how many there are, and the positions of those that will be run.
    fn begin(&self, total: usize, missing: &[usize]) {
        if let Some(inner) = self.inner() {
            inner.begin(total, missing);
        }
    }

    /// A cell starts.
    fn started(&self, cell: &Watched<'_>) {
        if let Some(inner) = self.inner() {
            inner.started(cell);
        }
    }

    /// A cell's training begins, or goes on from a checkpoint.
    fn continued(&self, cell: &Watched<'_>, continued: &Continued) {
        if let Some(inner) = self.inner() {
            inner.continued(cell, continued);
        }
    }

    /// A cell gets on.
    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        if let Some(inner) = self.inner() {
            inner.progress(cell, progress);
        }
    }

    /// A cell's training is not as it should be. It goes on.
    fn warned(&self, cell: &Watched<'_>, warning: &Warning) {
        if let Some(inner) = self.inner() {
            inner.warned(cell, warning);
        }
    }

    /// A checkpoint of a cell's training, or a line of its logs, could not be written. It goes on, and writes it later if it
    /// can.
    fn unsaved(&self, cell: &Watched<'_>, error: &dyn std::error::Error) {
        if let Some(inner) = self.inner() {
            inner.unsaved(cell, error);
        }
    }

    /// A cell is done, and its record is on disk.
    fn finished(&self, cell: &Watched<'_>, record: &Record, seconds: f64) {
        if let Some(inner) = self.inner() {
            inner.finished(cell, record, seconds);
        }
    }

    /// A cell has failed; the others go on.
    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        if let Some(inner) = self.inner() {
            inner.failed(cell, error);
        }
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

/// How far a cell is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Within an epoch of a training.
    Step(TrainingStep),
    /// At the end of an epoch.
    Epoch {
        /// What it came to.
        row: EpochRow,
        /// Its last step; `None` if the training went on after that.
        last: Option<TrainingStep>,
    },
    /// Within an evaluation.
    Examples {
        /// Examples dealt with.
        done: usize,
        /// How many there are.
        total: usize,
        /// Misclassified so far.
        misclassified: usize,
    },
}

/// How far a training is. Epochs and steps count from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingStep {
    /// This epoch.
    pub epoch: usize,
    /// How many there will be.
    pub epochs: usize,
    /// This step of it.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss of the step's batch.
    pub loss: f64,
    /// Training images per second in this epoch.
    pub images_per_second: f64,
    /// Share of the training's work that is done.
    pub fraction: f64,
    /// Estimate of the seconds until it is all done.
    pub seconds_left: f64,
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Map, Value};

    use super::*;

    /// Writes down what it is told.
    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Told {
        fn hear(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }

    impl Observer for Told {
        fn begin(&self, _: usize, _: &[usize]) {
            self.hear("begin");
        }

        fn started(&self, _: &Watched<'_>) {
            self.hear("started");
        }

        fn continued(&self, _: &Watched<'_>, _: &Continued) {
            self.hear("continued");
        }

        fn progress(&self, _: &Watched<'_>, _: &Progress) {
            self.hear("progress");
        }

        fn warned(&self, _: &Watched<'_>, _: &Warning) {
            self.hear("warned");
        }

        fn unsaved(&self, _: &Watched<'_>, _: &dyn std::error::Error) {
            self.hear("unsaved");
        }

        fn finished(&self, _: &Watched<'_>, _: &Record, _: f64) {
            self.hear("finished");
        }

        fn failed(&self, _: &Watched<'_>, _: &Error) {
            self.hear("failed");
        }
    }

    struct Around<'a>(&'a Told);

    impl Observer for Around<'_> {
        fn inner(&self) -> Option<&dyn Observer> {
            Some(self.0)
        }
    }

    #[test]
    fn who_adds_nothing_passes_everything_on() {
        let told = Told::default();
        let around = Around(&told);
        let cell = Watched { index: 0, kind: Kind::Network, label: "a network" };
        let record = Record {
            kind: Kind::Network,
            key: crate::key::Key::of(&Value::Null),
            settings: Value::Null,
            results: Value::Null,
            provenance: Map::new(),
        };
        around.begin(1, &[0]);
        around.started(&cell);
        around.continued(&cell, &Continued { from: None, epoch: 0, step: 0, damaged: None });
        around.progress(&cell, &Progress::Examples { done: 1, total: 2, misclassified: 0 });
        around.warned(&cell, &Warning::NothingLearned { balanced_accuracy: 0.1, chance: 0.1 });
        around.unsaved(&cell, &Error::Cancelled);
        around.finished(&cell, &record, 1.0);
        around.failed(&cell, &Error::Cancelled);
        let all = ["begin", "started", "continued", "progress", "warned", "unsaved", "finished", "failed"];
        assert_eq!(*told.0.lock().unwrap(), all);
    }
}
