//! PGD's steps as data: what a classifier can make of them on a device of its own, without the host between two steps.

use std::any::Any;

use crate::{Budget, CancelToken, Columns, Result};

/// An objective as data: what is maximised of an example's scores in some columns.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveSpec {
    /// The columns.
    pub columns: Columns,
    /// What is maximised of their scores `[n, width]`.
    pub terms: Terms,
}

/// What is maximised of scores z `[n, width]`.
#[derive(Debug, Clone, PartialEq)]
pub enum Terms {
    /// `log(sum_j exp(z_j)) - z_y`.
    CrossEntropy {
        /// y: positions among the columns, `[n]`.
        labels: Vec<u32>,
    },
    /// `sum_j share_j b_j`: `b_j = softplus(-z_j)` where the target is true, `softplus(z_j)` where it is not.
    Arms {
        /// `[n * width]`.
        targets: Vec<bool>,
        /// `[width]`.
        shares: Vec<f64>,
    },
}

/// Steps of steepest ascent, each projected onto the budget.
#[derive(Debug, Clone, Copy)]
pub struct PgdRun<'a> {
    /// What no iterate exceeds.
    pub budget: Budget,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step in pixels, measured in the budget's norm.
    pub step_size: f64,
    /// Clean images `[n, c, h, w]`.
    pub clean: &'a [f32],
    /// Where it begins, within the budget; as many.
    pub start: &'a [f32],
    /// What rises.
    pub spec: &'a ObjectiveSpec,
    /// Looked at before each step is asked for; steps that a device has been asked for are done.
    pub cancel: &'a CancelToken,
}

/// What came of a [`PgdRun`].
#[derive(Debug, Clone, PartialEq)]
pub struct PgdOutcome {
    /// The iterates with the highest value, the start and the final points among them; the first on a tie. `[n, c, h, w]`.
    pub best: Vec<f32>,
    /// Their values `[n]`.
    pub best_values: Vec<f32>,
    /// The final points `[n, c, h, w]`.
    pub last: Vec<f32>,
    /// Their values `[n]`.
    pub last_values: Vec<f32>,
    /// Steps at which an example's gradient was exactly zero, `[n]`.
    pub zero_gradients: Vec<u32>,
}

/// A classifier on a device of its own that makes whole runs of PGD there.
pub trait OnDevicePgd: Any + Send + Sync {
    /// The run, from the images to what came of it; `None` if this objective is not one that the device maximises.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`] if scores or gradients overflow; [`crate::Error::Cancelled`] when stopped; if the device
    /// fails.
    fn run_pgd(&self, run: &PgdRun<'_>) -> Result<Option<PgdOutcome>>;

    /// The same for the one-vs-all aggregate of `arms`, of which this is one: column i of its scores is `z_1 - z_0` of
    /// arm i, or its only output. `None` if they cannot be joined, as where they are on several devices.
    ///
    /// # Errors
    /// If a device fails.
    fn one_vs_all(&self, arms: &[&dyn OnDevicePgd]) -> Result<Option<Box<dyn OnDevicePgd>>>;
}
