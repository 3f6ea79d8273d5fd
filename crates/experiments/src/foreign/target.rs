//! Attacks that want one class in particular.

use candle_core::Tensor;
use robin_attacks::Loss;
use robin_core::{Batch, Columns, Evaluation, Judge, Objective, Result, Scores, Strategy};

/// Broken is what is predicted as the wanted class.
pub(super) struct Hits(pub(super) u32);

impl Judge for Hits {
    fn broken(&self, prediction: u32, label: u32) -> bool {
        prediction == self.0 && label != self.0
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

    fn evaluate(&self, scores: &Scores) -> Result<Evaluation> {
        let Evaluation { values, score_gradient } = self.0.evaluate(scores)?;
        let score_gradient: Tensor = score_gradient.neg()?;
        Ok(Evaluation { values: values.into_iter().map(|value| -value).collect(), score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self(self.0.select(rows)))
    }
}
