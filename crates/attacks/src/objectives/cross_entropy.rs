//! Cross-entropy of the scores against the labels.

use robin_core::{Columns, Objective, ObjectiveSpec, ObjectiveValues, Result, Scores, Terms};

use super::{evaluate_rows, highest_but};

/// Cross-entropy `log(sum_j exp(z_j)) - z_y` of all columns (natural logarithm); larger is closer to
/// misclassified.
///
/// Exact where it saturates: neither the value nor the gradient is computed as a difference of nearly equal
/// numbers, so both lose nothing until f32 itself underflows (margins beyond about 100).
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    labels: Vec<u32>,
}

impl CrossEntropy {
    /// Against `labels` `[n]`.
    pub fn new(labels: Vec<u32>) -> Self {
        Self { labels }
    }
}

impl Objective for CrossEntropy {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        evaluate_rows(scores, &self.labels, cross_entropy)
    }

    fn spec(&self) -> Option<ObjectiveSpec> {
        let terms = Terms::CrossEntropy { labels: self.labels.clone() };
        Some(ObjectiveSpec { columns: Columns::All, terms })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(rows.iter().map(|&row| self.labels[row]).collect()))
    }
}

pub(super) fn cross_entropy(scores: &[f32], label: usize, gradient: &mut [f32]) -> f64 {
    let right = f64::from(scores[label]);
    let (wrong_column, wrong) = highest_but(scores, label);
    let (top_column, top) =
        if f64::from(wrong) > right { (wrong_column, f64::from(wrong)) } else { (label, right) };
    let weight = |column: usize| (f64::from(scores[column]) - top).exp();
    // The top column's weight is 1; it is kept out of the sums so that the others are not rounded away.
    let rest: f64 = (0..scores.len()).filter(|&column| column != top_column).map(weight).sum();
    let wrong_weights: f64 = (0..scores.len()).filter(|&column| column != label).map(weight).sum();
    for (column, slot) in gradient.iter_mut().enumerate() {
        let numerator = if column == label { -wrong_weights } else { weight(column) };
        *slot = (numerator / (1.0 + rest)) as f32;
    }
    (top - right) + rest.ln_1p()
}
