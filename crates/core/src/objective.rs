//! What an attack maximises, one number per example.

use candle_core::Tensor;

use crate::{Classifier, Columns, ObjectiveSpec, Result, Scores};

/// An objective prepared for one batch (its labels, targets and arm choices are inside): **larger is closer
/// to misclassified**. It knows which score columns it needs, and its own derivative on them.
pub trait Objective: Send + Sync {
    /// The columns that [`Objective::evaluate`] expects.
    fn columns(&self) -> Columns;

    /// Values and gradient for `scores` `[n, columns]`.
    ///
    /// # Errors
    /// If the scores do not belong to this batch, or are not finite.
    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues>;

    /// The objective of the examples at `rows` alone.
    fn select(&self, rows: &[usize]) -> Box<dyn Objective>;

    /// Values `[n]` at `images` `[n, c, h, w]`, and the direction in pixels that raises them: the gradient,
    /// unless the objective weighs the gradients of its terms against each other. Attacks that follow a
    /// direction take it from here.
    ///
    /// # Errors
    /// As the model's and as [`Objective::evaluate`]'s.
    fn ascent(&self, model: &dyn Classifier, images: &Tensor) -> Result<Ascent> {
        let pass = model.forward(images, &self.columns())?;
        let ObjectiveValues { values, score_gradient } = self.evaluate(pass.scores())?;
        let scores = Some(pass.scores().clone());
        Ok(Ascent { values, direction: pass.input_gradient(&score_gradient)?, scores })
    }

    /// The same objective as data, for classifiers that maximise it elsewhere; `None` if [`ObjectiveSpec`] cannot say it.
    fn spec(&self) -> Option<ObjectiveSpec> {
        None
    }

    /// Whether the value is negative where the example is right, positive where it is misclassified (as the
    /// objective sees it), and 0 on the border. Attacks that aim at the border need this.
    fn is_signed(&self) -> bool {
        false
    }
}

/// An objective's values and derivative.
#[derive(Debug, Clone)]
pub struct ObjectiveValues {
    /// `[n]`.
    pub values: Vec<f32>,
    /// Derivative of each example's own value on its scores, `[n, columns]`.
    pub score_gradient: Tensor,
}

/// Where an objective rises at some images.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// `[n]`.
    pub values: Vec<f32>,
    /// `[n, c, h, w]`.
    pub direction: Tensor,
    /// The scores of the objective's columns on the way, where one pass brought them: a judge need not ask again.
    pub scores: Option<Scores>,
}
