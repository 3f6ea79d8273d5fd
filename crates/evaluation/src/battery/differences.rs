//! T21: the input gradient of each strategy's objectives against finite differences.

use robin_aggregation::{STRATEGIES, StrategyName};
use robin_attacks::Loss;
use robin_core::Columns;

use super::context::{EvaluationContext, Kind, number};
use super::{Answer, Status};
use crate::external_model::{GradientProbe, GradientVerdict, probe_objective};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "loss-gradients-false",
    means: "The gradient that attacks follow is not that of the scores, by finite differences: a missing or \
            wrong derivative, a cut branch, a factor. Attacks follow a wrong direction, and their accuracies \
            say nothing.",
    todo: "Mend the model's derivative, or export the model without the operation that has none. Until then \
            attack with square, which needs no gradient.",
};

/// Fewer directions than for a foreign model: there are many objectives.
const PROBE: GradientProbe = GradientProbe { directions: 4, ..GradientProbe::STANDARD };

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let batch = context.right(PROBE.images)?;
    if batch.is_empty() {
        return Ok(Answer::new(Status::Skipped, [], "no example is right when clean"));
    }
    let clean = context.model.scores(&batch.images, &Columns::All)?;
    let (mut numbers, mut worst, mut flat) = (Vec::new(), 0.0_f64, false);
    for entry in STRATEGIES {
        if context.kind == Kind::Whole && !matches!(entry.name, StrategyName::Softmax | StrategyName::MarginT)
        {
            continue;
        }
        for loss in [Loss::Ce, Loss::Margin] {
            // One of the objectives speaks for its siblings, which differ in the column only.
            let Some(objective) = entry.name.build(loss)?.prepare(&clean, &batch)?.into_iter().next() else {
                continue;
            };
            let report = probe_objective(context.model, &*objective, &batch.images, PROBE, context.seed)?;
            match report.verdict {
                // A gradient that is wrong for some images only counts as wrong.
                GradientVerdict::False => worst = worst.max(report.median_error.max(1.01 * PROBE.tolerance)),
                GradientVerdict::True => worst = worst.max(report.median_error),
                // A cross-entropy that is flat at sure examples is what the margin is for.
                GradientVerdict::Flat => flat |= loss == Loss::Margin,
            }
            numbers.push((format!("{} {loss}", entry.name), report.median_error));
        }
    }
    numbers.push(number("worst", worst));
    let status = if worst <= PROBE.tolerance && !flat { Status::Pass } else { Status::Fail };
    let note = match flat {
        true => "some margins do not move at all".to_owned(),
        false => format!("the worst median disagreement is {worst:.2e}, allowed {}", PROBE.tolerance),
    };
    Ok(Answer::new(status, numbers, note))
}
