//! Where a training stands.

use robin_nn::Parameters;
use serde::{Deserialize, Serialize};

use crate::{EpochReport, Sgd, Tally, ValidationReport, Warning};

/// Everything of a training that is neither the network's present parameters nor fixed from the beginning: with both
/// it can be continued as if nothing had happened. There is no state of a random generator, since draws have addresses.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Epochs that are over.
    pub(crate) epoch: usize,
    /// Steps done of the one that is not. All of them, if it was stopped before its end was measured.
    pub(crate) step: usize,
    pub(crate) sgd: Sgd,
    pub(crate) average: Option<Parameters>,
    pub(crate) best: Option<Best>,
    pub(crate) epochs: Vec<EpochReport>,
    /// Sum of the mean losses of the steps of this epoch.
    pub(crate) loss: f64,
    pub(crate) tally: Tally,
    pub(crate) warnings: Vec<Warning>,
}

impl State {
    /// Before the first step of a training with these settings for `classes` classes.
    pub(crate) fn before(momentum: f64, weight_decay: f64, classes: usize) -> Self {
        Self {
            epoch: 0,
            step: 0,
            sgd: Sgd::new(momentum, weight_decay),
            average: None,
            best: None,
            epochs: Vec::new(),
            loss: 0.0,
            tally: Tally::new(classes),
            warnings: Vec::new(),
        }
    }
}

/// The epoch with the highest robust accuracy on the images that are held out; the first of them on a tie.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Epoch, from 1.
    pub epoch: usize,
    /// What was measured then.
    pub validation: ValidationReport,
    /// The parameters, averaged ones where weights are averaged.
    pub parameters: Parameters,
}

/// What a finished training reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One report for each epoch.
    pub epochs: Vec<EpochReport>,
    /// The best of them on the images that are held out, from 1; none without such images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// What was not as it should be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// A finished training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// What happened.
    pub summary: Summary,
    /// The parameters after the last epoch; their average where weights are averaged.
    pub last: Parameters,
    /// The best epoch's, if images are held out to tell.
    pub best: Option<Best>,
}

impl Trained {
    /// The network that the settings ask for: the best where images are held out to find it, else the last.
    pub fn chosen(&self) -> &Parameters {
        self.best.as_ref().map_or(&self.last, |best| &best.parameters)
    }
}
