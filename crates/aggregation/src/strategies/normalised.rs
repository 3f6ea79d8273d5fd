//! Terms that have an equal say in the direction, whatever their scale.

use candle_core::{Device, Tensor};
use robin_core::{Ascent, Classifier, Columns, Error, Objective, ObjectiveValues, Result, Scores, host};
use serde::{Deserialize, Serialize};

use super::arm_loss::ArmLoss;

/// How the gradients of several arms become one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// Added as they are: the gradient of the objective.
    #[default]
    Raw,
    /// Each over its own l2 norm.
    Normalised,
}

/// The same value as `arms`, but its direction is the sum of each term's input gradient over its own l2 norm.
///
/// A saturated arm's gradient is tiny beside an unsaturated one's, and a plain sum does not see it. A term
/// whose gradient is exactly zero adds nothing. Costs as many passes as the plain sum. Only attacks that
/// follow [`Objective::ascent`] do what the name says; [`super::StrategyConfig::check_attack`] knows which.
#[derive(Debug, Clone)]
pub(super) struct Normalised {
    arms: ArmLoss,
}

impl Normalised {
    pub(super) fn new(arms: ArmLoss) -> Self {
        Self { arms }
    }
}

impl Objective for Normalised {
    fn columns(&self) -> Columns {
        self.arms.columns()
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        self.arms.evaluate(scores)
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { arms: self.arms.select_rows(rows) })
    }

    fn ascent(&self, model: &dyn Classifier, images: &Tensor) -> Result<Ascent> {
        let (n, length) = host::image_rows("images", images)?;
        let mut values = vec![0.0_f64; n];
        let mut direction = vec![0.0_f64; n * length];
        for (term, share) in self.arms.terms().iter().zip(self.arms.shares()) {
            let found = term.ascent(model, images)?;
            values.iter_mut().zip(found.values).for_each(|(sum, value)| *sum += share * f64::from(value));
            let gradient = host::to_vec(&found.direction)?;
            for (example, (sum, gradient)) in
                direction.chunks_mut(length.max(1)).zip(gradient.chunks(length.max(1))).enumerate()
            {
                let size = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
                if !size.is_finite() {
                    return Err(Error::NotFinite { what: "input gradient", example, value: size as f32 });
                }
                if size > 0.0 {
                    sum.iter_mut().zip(gradient).for_each(|(sum, &g)| *sum += f64::from(g) / size);
                }
            }
        }
        let direction: Vec<f32> = direction.into_iter().map(|value| value as f32).collect();
        Ok(Ascent {
            values: values.into_iter().map(|value| value as f32).collect(),
            direction: Tensor::from_vec(direction, images.dims(), &Device::Cpu)?,
            scores: None,
        })
    }
}
