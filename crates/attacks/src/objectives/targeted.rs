//! Objectives that lead each example towards a class of its own.

use robin_core::scores::ranked;
use robin_core::{Columns, Error, Objective, ObjectiveValues, Result, Scores};

use super::cross_entropy::cross_entropy;
use super::dlr::ratio;
use super::evaluate_towards;

/// `z_t - z_y` for a target t of each example: positive once the target is above the label.
#[derive(Debug, Clone)]
pub struct TargetedMargin(Pairs);

impl TargetedMargin {
    /// From `labels` `[n]` towards `targets` `[n]`.
    pub fn new(labels: Vec<u32>, targets: Vec<u32>) -> Self {
        Self(Pairs { labels, targets })
    }
}

impl Objective for TargetedMargin {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        self.0.evaluate(scores, |scores, label, target, gradient| {
            gradient[target] += 1.0;
            gradient[label] -= 1.0;
            f64::from(scores[target]) - f64::from(scores[label])
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }

    fn is_signed(&self) -> bool {
        true
    }
}

/// `(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2 + 1e-12)` (Croce & Hein 2020, section 4.2), where `z_(i)` is
/// the i-th highest score.
#[derive(Debug, Clone)]
pub struct TargetedDlr(Pairs);

impl TargetedDlr {
    /// From `labels` `[n]` towards `targets` `[n]`.
    pub fn new(labels: Vec<u32>, targets: Vec<u32>) -> Self {
        Self(Pairs { labels, targets })
    }
}

impl Objective for TargetedDlr {
    fn columns(&self) -> Columns {
        Columns::All
    }

    /// # Errors
    /// [`Error::TooFewClasses`] below 4 columns: the ratio needs a fourth-highest score.
    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        if scores.columns() < 4 {
            return Err(Error::TooFewClasses { loss: "dlr-t", least: 4, classes: scores.columns() });
        }
        self.0.evaluate(scores, |scores, label, target, gradient| {
            let order = ranked(scores);
            let below = [(order[2] as usize, 0.5), (order[3] as usize, 0.5)];
            ratio(scores, (target, label), (order[0] as usize, &below), gradient)
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }

    fn is_signed(&self) -> bool {
        true
    }
}

/// Minus the cross-entropy against a target of each example: rises to 0 as the target takes over, whatever
/// the label is.
#[derive(Debug, Clone)]
pub struct TargetedCrossEntropy {
    targets: Vec<u32>,
}

impl TargetedCrossEntropy {
    /// Towards `targets` `[n]`.
    pub fn new(targets: Vec<u32>) -> Self {
        Self { targets }
    }
}

impl Objective for TargetedCrossEntropy {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        evaluate_towards(scores, &self.targets, &self.targets, |scores, target, _, gradient| {
            let value = cross_entropy(scores, target, gradient);
            gradient.iter_mut().for_each(|slope| *slope = -*slope);
            -value
        })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self::new(rows.iter().map(|&row| self.targets[row]).collect()))
    }
}

/// Labels and targets of a batch, `[n]` each.
#[derive(Debug, Clone)]
struct Pairs {
    labels: Vec<u32>,
    targets: Vec<u32>,
}

impl Pairs {
    fn evaluate(
        &self,
        scores: &Scores,
        row: impl Fn(&[f32], usize, usize, &mut [f32]) -> f64,
    ) -> Result<ObjectiveValues> {
        if self.targets.len() != self.labels.len() {
            return Err(Error::Shape {
                what: "targets",
                found: vec![self.targets.len()],
                expected: format!("[{}]", self.labels.len()),
            });
        }
        evaluate_towards(scores, &self.labels, &self.targets, row)
    }

    fn select(&self, rows: &[usize]) -> Self {
        let at = |classes: &[u32]| rows.iter().map(|&row| classes[row]).collect();
        Self { labels: at(&self.labels), targets: at(&self.targets) }
    }
}
