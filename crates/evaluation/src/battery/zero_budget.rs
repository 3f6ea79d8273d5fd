//! T1: a perturbation of size 0 is none. Catches attacks that do not see the image that is judged: another
//! normalisation, batch statistics, dropout.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "epsilon-zero-changes",
    means: "An attack that may not move a pixel changes predictions all the same, so it does not see the \
            image that is judged: another normalisation, batch statistics, dropout, or randomness in the \
            model.",
    todo: "Put the model into evaluation mode, take randomness out, and normalise images once, inside the \
            model (--normalize); then measure again. Until then no number of this evaluation counts.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let found =
        context.attack(pgd(10, 1), context.scaled(0.0)?, Loss::Margin, StrategyName::Softmax.into())?;
    let predictions = found.worst.predictions.iter().zip(&context.clean.predictions);
    let different = predictions.filter(|(after, before)| after != before).count();
    let status = if different == 0 { Status::Pass } else { Status::Fail };
    let numbers = [number("n", context.images() as f64), number("different", different as f64)];
    Ok(Answer::new(status, numbers, format!("{different} predictions differ from the clean ones")))
}
