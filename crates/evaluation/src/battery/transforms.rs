//! T14: the same attack on the scores, on probabilities, and on probabilities of sigmoids. The scores must be
//! the best place to attack; the gap to the others says how much a softmax would hide.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, only_in, pgd};
use super::transformed::{Decides, RowMap, Sigmoid, Softmax, Transformed};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "probabilities-beat-scores",
    means: "Images break through probabilities that do not break through scores, though scores are the better \
            place to attack: something is odd about the scores, such as a scale that drowns the loss.",
    todo: "Compare score-scale-matters and gradients-vanish, and believe the union only.",
};

/// Softmax over `sigmoid(s)`.
struct SigmoidSoftmax;

impl RowMap for SigmoidSoftmax {
    fn map(&self, scores: &[f32]) -> Vec<f32> {
        Softmax.map(&Sigmoid { sharpness: 1.0 }.map(scores))
    }

    fn pull_back(&self, scores: &[f32], upstream: &[f32]) -> Vec<f32> {
        let inner = Sigmoid { sharpness: 1.0 };
        inner.pull_back(scores, &Softmax.pull_back(&inner.map(scores), upstream))
    }
}

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let (softmax, decides) = (StrategyName::Softmax.into(), Decides::Inner);
    let on = |model: &dyn robin_core::Classifier| {
        Ok::<_, crate::Error>(context.attack_on(model, pgd(20, 1), context.budget, Loss::Ce, softmax)?.worst)
    };
    let scores = context.base()?.worst.clone();
    let logits = on(context.model)?;
    let probabilities = on(&Transformed { inner: context.model, map: Softmax, decides })?;
    let squashed = on(&Transformed { inner: context.model, map: SigmoidSoftmax, decides })?;
    let either: Vec<bool> =
        scores.misclassified.iter().zip(&logits.misclassified).map(|(a, b)| *a || *b).collect();
    let missed =
        only_in(&probabilities.misclassified, &either).max(only_in(&squashed.misclassified, &either));
    let numbers = [
        number("scores, margin", scores.accuracy()),
        number("scores, cross-entropy", logits.accuracy()),
        number("probabilities", probabilities.accuracy()),
        number("probabilities of sigmoids", squashed.accuracy()),
        number("missed on scores", missed as f64),
    ];
    let status = match missed {
        0 => Status::Pass,
        1 => Status::Warn,
        _ => Status::Fail,
    };
    Ok(Answer::new(status, numbers, format!("{missed} examples break only through probabilities")))
}
