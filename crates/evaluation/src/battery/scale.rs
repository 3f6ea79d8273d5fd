//! T15: scores times a constant are the same classifier. An attack that notices depends on saturation.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, pgd};
use super::transformed::{Affine, Decides, Transformed};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "score-scale-matters",
    means: "The same classifier with its scores times a constant is found more or less robust. The attack \
            depends on the scale of the scores, so part of the accuracy is saturation and no robustness.",
    todo: "Attack with losses that do not depend on the scale (dlr, or --attack autoattack), or divide the \
            scores by a constant before the attack. Do not compare models by cross-entropy PGD alone.",
};

/// The largest change of accuracy.
const ALLOWED: f64 = 0.001;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let classes = context.model.num_classes();
    let plain = context.base()?.worst.accuracy();
    let mut numbers = vec![number("margin at 1", plain)];
    let mut change = 0.0_f64;
    for factor in [0.01_f32, 100.0] {
        let map = Affine { factors: vec![factor; classes], shifts: vec![0.0; classes] };
        let model = Transformed { inner: context.model, map, decides: Decides::Inner };
        for loss in [Loss::Margin, Loss::Ce] {
            let softmax = StrategyName::Softmax.into();
            let found =
                context.attack_on(&model, pgd(20, 1), context.budget, loss, softmax)?.worst.accuracy();
            numbers.push((format!("{loss} at {factor}"), found));
            if loss == Loss::Margin {
                change = change.max((found - plain).abs());
            }
        }
    }
    let status = match change {
        change if change <= ALLOWED => Status::Pass,
        change if change <= 1.5 / context.images() as f64 => Status::Warn,
        _ => Status::Fail,
    };
    let note = format!("the margin attack's accuracy changes by {change:.4}, allowed {ALLOWED}");
    Ok(Answer::new(status, numbers, note))
}
