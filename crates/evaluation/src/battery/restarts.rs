//! T5: an attack that has found what there is does not get better with more starts.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, steps::plateau};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "restarts-too-few",
    means: "More random starts break clearly more images: a single run gets stuck, and the accuracy that it \
            leaves is too high.",
    todo: "Give more --restarts until the last of them change nothing, or add --attack autoattack.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let counts: &[usize] = context.choose(&[1, 3, 5], &[1, 5, 20]);
    let mut accuracies = Vec::new();
    for &restarts in counts {
        let strategy = StrategyName::Softmax.into();
        let found = context.attack(pgd(20, restarts), context.budget, Loss::Margin, strategy)?;
        accuracies.push((restarts, found.worst.accuracy()));
    }
    let numbers = accuracies
        .iter()
        .map(|(count, accuracy)| number(&format!("accuracy at {count} restarts"), *accuracy));
    plateau(context, &accuracies, "restarts", numbers.collect())
}
