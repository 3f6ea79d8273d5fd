//! T4: an attack that has converged does not get better with more steps.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "steps-too-few",
    means: "Twice the steps break clearly more images, so the attack had not converged, and the accuracy that \
            it leaves is too high.",
    todo: "Give more --steps until the last doubling changes nothing, or add --attack autoattack, which \
            chooses its own step sizes.",
};

/// The largest change of accuracy at the last doubling.
pub(super) const PLATEAU: f64 = 0.003;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let counts: &[usize] = context.choose(&[10, 20, 40, 80], &[10, 20, 40, 100, 200, 1000]);
    let mut accuracies = Vec::new();
    for &steps in counts {
        let found =
            context.attack(pgd(steps, 1), context.budget, Loss::Margin, StrategyName::Softmax.into())?;
        accuracies.push((steps, found.worst.accuracy()));
    }
    let numbers =
        accuracies.iter().map(|(steps, accuracy)| number(&format!("accuracy at {steps} steps"), *accuracy));
    plateau(context, &accuracies, "steps", numbers.collect())
}

/// Judges by the gain of the last of `accuracies` over the one before.
pub(super) fn plateau(
    context: &EvaluationContext<'_>,
    accuracies: &[(usize, f64)],
    what: &str,
    numbers: Vec<(String, f64)>,
) -> Result<Answer> {
    let [.., (before, high), (last, low)] = accuracies else { return Err(crate::Error::Empty) };
    let gain = high - low;
    // On few images one of them is more than the plateau.
    let one = 1.5 / context.images() as f64;
    let status = match gain {
        gain if gain <= PLATEAU => Status::Pass,
        gain if gain <= one.max(PLATEAU) => Status::Warn,
        _ => Status::Fail,
    };
    let note = format!("{last} {what} break {:.3} more than {before}, allowed {PLATEAU}", gain);
    Ok(Answer::new(status, numbers, note))
}
