//! The difference-of-logits ratio.

use robin_core::scores::ranked;
use robin_core::{Columns, Error, Objective, ObjectiveValues, Result, Scores};

use super::{evaluate_rows, highest_but};

/// Keeps the ratio finite where the compared scores are equal, as in the authors' program.
pub(super) const FLOOR: f64 = 1e-12;

/// `(max_{j != y} z_j - z_y) / (z_(1) - z_(3) + 1e-12)`, where `z_(i)` is the i-th highest score (Croce & Hein
/// 2020, section 4); unchanged by shifting and scaling the scores. Positive when misclassified. Of equal
/// scores the lower column counts as the higher.
#[derive(Debug, Clone)]
pub struct Dlr {
    labels: Vec<u32>,
}

impl Dlr {
    /// Against `labels` `[n]`.
    pub fn new(labels: Vec<u32>) -> Self {
        Self { labels }
    }
}

impl Objective for Dlr {
    fn columns(&self) -> Columns {
        Columns::All
    }

    /// # Errors
    /// [`Error::TooFewClasses`] below 3 columns: the ratio needs a third-highest score.
    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        if scores.columns() < 3 {
            return Err(Error::TooFewClasses { loss: "dlr", least: 3, classes: scores.columns() });
        }
        evaluate_rows(scores, &self.labels, |scores, label, gradient| {
            let (wrong, _) = highest_but(scores, label);
            let order = ranked(scores);
            let below = [(order[2] as usize, 1.0)];
            ratio(scores, (wrong, label), (order[0] as usize, &below), gradient)
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(rows.iter().map(|&row| self.labels[row]).collect()))
    }

    fn is_signed(&self) -> bool {
        true
    }
}

/// `(z_up - z_down) / (z_top - sum_i share_i z_i + FLOOR)` with its derivative added to `gradient`.
pub(super) fn ratio(
    scores: &[f32],
    (up, down): (usize, usize),
    (top, below): (usize, &[(usize, f64)]),
    gradient: &mut [f32],
) -> f64 {
    let score = |column: usize| f64::from(scores[column]);
    let numerator = score(up) - score(down);
    let spread =
        below.iter().map(|&(column, share)| share * (score(top) - score(column))).sum::<f64>() + FLOOR;
    // The columns may coincide, so that their terms meet.
    let terms = [(up, 1.0 / spread), (down, -1.0 / spread), (top, -numerator / spread / spread)];
    let lower = below.iter().map(|&(column, share)| (column, share * numerator / spread / spread));
    let mut exact = vec![0.0; scores.len()];
    terms.into_iter().chain(lower).for_each(|(column, term)| exact[column] += term);
    gradient.iter_mut().zip(exact).for_each(|(slot, exact)| *slot = exact as f32);
    numerator / spread
}
