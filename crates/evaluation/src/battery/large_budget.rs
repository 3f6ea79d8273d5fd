//! T3: with a budget that can paint the image over, nothing may stand. The oldest sign of masked gradients.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Budget, Norm};

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "large-budget-survived",
    means: "Images survive a budget that allows to paint them over, so the attack fails and not the image: \
            gradients are masked, or something before the network throws the perturbation away.",
    todo: "Find what stands between pixels and scores: rounding, saturation, randomness, a step that has no \
            derivative. Attack without it or through an approximation of it, and with square.",
};

/// The largest share that may stand.
const ALLOWED: f64 = 0.005;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let epsilon = match context.budget.norm {
        Norm::Linf => "0.5",
        Norm::L2 => "10",
    };
    let budget = Budget { norm: context.budget.norm, epsilon: epsilon.parse()? };
    let mut misclassified = vec![false; context.images()];
    for loss in [Loss::Margin, Loss::Ce] {
        let found =
            context.attack(pgd(40, 1), budget, loss, StrategyName::Softmax.into())?.worst.misclassified;
        misclassified.iter_mut().zip(found).for_each(|(any, found)| *any |= found);
    }
    let accuracy = crate::accuracy(&misclassified);
    let status = if accuracy <= ALLOWED { Status::Pass } else { Status::Fail };
    let note = format!("accuracy at {budget} is {accuracy:.3}, allowed {ALLOWED}");
    Ok(Answer::new(status, [number("accuracy", accuracy), number("n", context.images() as f64)], note))
}
