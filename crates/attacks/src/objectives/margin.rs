//! The largest wrong score minus the right one.

use robin_core::{Columns, Objective, ObjectiveValues, Result, Scores};

use super::{evaluate_rows, highest_but};

/// `max_{j != y} z_j - z_y` over all columns (Carlini & Wagner 2017, f_6 without its clamp); positive when
/// misclassified, negative when not. The first of equal wrong scores carries the gradient.
#[derive(Debug, Clone)]
pub struct Margin {
    labels: Vec<u32>,
}

impl Margin {
    /// Against `labels` `[n]`.
    pub fn new(labels: Vec<u32>) -> Self {
        Self { labels }
    }
}

impl Objective for Margin {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        evaluate_rows(scores, &self.labels, |scores, label, gradient| {
            let (wrong_column, wrong) = highest_but(scores, label);
            gradient[wrong_column] = 1.0;
            gradient[label] = -1.0;
            f64::from(wrong) - f64::from(scores[label])
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(rows.iter().map(|&row| self.labels[row]).collect()))
    }

    fn is_signed(&self) -> bool {
        true
    }
}
