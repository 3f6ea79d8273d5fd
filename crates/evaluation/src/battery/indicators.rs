//! T29: signs that an attack failed although nothing complained (Pintor et al. 2022): success on the way that
//! the final point hides, and an objective that was still rising at the end.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss, Start, StepSize};
use robin_core::Columns;

use super::context::{EvaluationContext, number};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "attack-unfinished",
    means: "The objective still rose in the last steps, so the attack was stopped on its way, and more steps \
            may break more.",
    todo: "Give more --steps, or add --attack autoattack; see also steps-too-few.",
};

/// Steps looked at, and the last ones among them.
const STEPS: usize = 40;
const LAST: usize = 10;

/// The largest share of the whole rise that the last steps may add.
const ALLOWED: f64 = 0.05;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let batch = context.right(usize::MAX)?;
    if batch.is_empty() || context.budget.epsilon.get() == 0.0 {
        return Ok(Answer::new(Status::Skipped, [], "nothing to attack"));
    }
    let size = StepSize::STANDARD.pixels(context.budget.epsilon, STEPS)?;
    let made = |steps| {
        let step_size = StepSize::Absolute(size);
        let config = Config::Pgd(robin_attacks::pgd::Settings {
            steps,
            restarts: 1,
            step_size,
            start: Start::UniformInBall,
        });
        context.perturb(config, Loss::Margin, StrategyName::Softmax.into(), &batch)
    };
    let (early, late) = (made(STEPS - LAST)?, made(STEPS)?);
    let silent = late.worst.verdicts.iter().zip(&late.last.verdicts);
    let silent = silent.filter(|(worst, last)| worst.misclassified && !last.misclassified).count();
    let objective = Loss::Margin.against(batch.labels.clone());
    let value = |images| -> Result<Vec<f32>> {
        Ok(objective.evaluate(&context.model.scores(images, &Columns::All)?)?.values)
    };
    let [clean, early, late_values] =
        [value(&batch.images)?, value(&early.worst.images)?, value(&late.worst.images)?];
    // What is misclassified has stopped being optimised.
    let (mut added, mut whole) = (0.0, 0.0);
    for at in (0..batch.len()).filter(|&at| !late.worst.verdicts[at].misclassified) {
        added += f64::from(late_values[at] - early[at]).max(0.0);
        whole += f64::from(late_values[at] - clean[at]).max(0.0);
    }
    let share = if whole > 0.0 { added / whole } else { 0.0 };
    let numbers = [
        number("silent successes of the last iterate", silent as f64),
        number("rise in the last steps", share),
        number("attacked", batch.len() as f64),
    ];
    let status = if share <= ALLOWED { Status::Pass } else { Status::Warn };
    let note = format!(
        "the last {LAST} of {STEPS} steps add {:.1}% of the rise, allowed 5%; {silent} successes are not at the final point \
         and are counted all the same",
        100.0 * share
    );
    Ok(Answer::new(status, numbers, note))
}
