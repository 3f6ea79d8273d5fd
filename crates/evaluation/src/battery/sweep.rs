//! T2: whoever may move further breaks no fewer. Catches attacks whose step size or start does not follow
//! epsilon.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, only_in, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "accuracy-rises-with-epsilon",
    means: "An attack that may move images further breaks fewer of them, which a working attack cannot: it \
            fails silently at some budgets, mostly because gradients are masked or steps do not follow \
            epsilon.",
    todo: "Do not believe the accuracy at any one budget. Look at gradients-vanish and score-scale-matters, \
            and attack with loss margin and with square, which needs no gradient.",
};

const FACTORS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

/// An example counts as misclassified from the first radius on that breaks it; `lost` counts those that the attack
/// at a larger radius alone would have missed.
pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let mut numbers = vec![number("accuracy at 0", context.clean.accuracy())];
    let mut before = context.clean.misclassified.clone();
    let (mut lost, mut rises) = (0, 0);
    let mut accuracy = context.clean.accuracy();
    for factor in FACTORS {
        let budget = context.scaled(factor)?;
        let found = context.attack(pgd(20, 1), budget, Loss::Margin, StrategyName::Softmax.into())?.worst;
        lost += only_in(&before, &found.misclassified);
        rises += usize::from(found.accuracy() > accuracy);
        accuracy = found.accuracy();
        numbers.push(number(&format!("accuracy at {factor} epsilon"), accuracy));
        before = before.iter().zip(&found.misclassified).map(|(a, b)| *a || *b).collect();
    }
    numbers.push(number("lost", lost as f64));
    let status = match (rises, lost) {
        (0, 0) => Status::Pass,
        (0, _) => Status::Warn,
        _ => Status::Fail,
    };
    Ok(Answer::new(status, numbers, format!("accuracy rises {rises} times; {lost} examples lost on the way")))
}
