//! Attacks that want one class in particular.

use candle_core::Tensor;
use robin_attacks::Loss;
use robin_core::{Batch, Columns, Objective, ObjectiveValues, Result, Scores, Strategy, SuccessCriterion};

/// Misclassified, for an attack that wants one class, is what is predicted as that class. An image of the class itself has
/// nothing to be led to: it is done before it begins, so it is never attacked.
pub(super) struct Hits(pub(super) u32);

impl SuccessCriterion for Hits {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        prediction == self.0 || label == self.0
    }
}

/// Lowers the loss of all scores against the wanted class.
pub(super) struct Towards {
    pub(super) class: u32,
    pub(super) loss: Loss,
}

impl Strategy for Towards {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        clean.to_vec()?; // finite
        Ok(vec![Box::new(Lowered(self.loss.against(vec![self.class; batch.len()])))])
    }
}

/// The negative of an objective.
struct Lowered(Box<dyn Objective>);

impl Objective for Lowered {
    fn columns(&self) -> Columns {
        self.0.columns()
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let ObjectiveValues { values, score_gradient } = self.0.evaluate(scores)?;
        let score_gradient: Tensor = score_gradient.neg()?;
        Ok(ObjectiveValues { values: values.into_iter().map(|value| -value).collect(), score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }

    /// Negative until the wanted class is predicted, as the loss against it was positive.
    fn is_signed(&self) -> bool {
        self.0.is_signed()
    }
}
