//! T11: PGD as the paper runs it against the other attacks of this build; the union is the headline.

use robin_aggregation::StrategyName;
use robin_attacks::{ATTACKS, Loss};

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Scope, Status};
use crate::Explained;
use crate::weak_cw::is_cw;
use crate::{Result, cw_is_weak};

pub(super) const EXPLAINED: Explained = Explained {
    name: "other-attacks-stronger",
    means: "PGD with cross-entropy, by itself, leaves clearly more correct than all attacks together, so its \
            number alone says too much. The same is said where CW is weaker than PGD.",
    todo: "Report the union and not PGD's accuracy; add --attack autoattack.",
};

/// How far the paper's PGD may lie above the union.
const ALLOWED: f64 = 0.01;

/// Attacks of the list with tests of their own.
const ELSEWHERE: &[&str] = &["pgd", "random-noise", "square"];

/// Attacks that take thousands of steps, and come with the full battery only.
const SLOW: &[&str] = &["cw", "cw-linf"];

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let softmax = StrategyName::Softmax.into();
    let paper = context.attack(pgd(20, 1), context.budget, Loss::Ce, softmax)?.worst;
    let mut union = paper.misclassified.clone();
    let mut numbers = vec![number("pgd ce", paper.accuracy())];
    let mut strongest_cw: Option<f64> = None;
    let mut join = |name: String, misclassified: &[bool]| {
        union.iter_mut().zip(misclassified).for_each(|(any, found)| *any |= found);
        numbers.push((name, crate::accuracy(misclassified)));
    };
    join("pgd margin".to_owned(), &context.base()?.worst.misclassified);
    let targeted = context.attack(pgd(20, 1), context.budget, Loss::Margin, StrategyName::MarginT.into())?;
    join("pgd margin-t".to_owned(), &targeted.worst.misclassified);
    for entry in ATTACKS {
        let slow = context.scope == Scope::Subset && SLOW.contains(&entry.name);
        // Some attacks exist for one norm only.
        if ELSEWHERE.contains(&entry.name) || slow || entry.example.build(context.budget).is_err() {
            continue;
        }
        let found = context.attack(entry.example, context.budget, Loss::Margin, softmax)?.worst;
        if is_cw(&entry.example) {
            strongest_cw = Some(strongest_cw.unwrap_or(1.0).min(found.accuracy()));
        }
        join(format!("{} margin", entry.name), &found.misclassified);
    }
    let strongest_pgd = paper.accuracy().min(context.base()?.worst.accuracy());
    let weak_cw = strongest_cw.and_then(|cw| cw_is_weak(cw, strongest_pgd));
    let headline = crate::accuracy(&union);
    numbers.push(number("union", headline));
    let above = paper.accuracy() - headline;
    let status = if above <= ALLOWED && weak_cw.is_none() { Status::Pass } else { Status::Warn };
    let weak_cw = weak_cw.map(|weak| format!("; {weak}")).unwrap_or_default();
    Ok(Answer::new(
        status,
        numbers,
        format!("pgd with cross-entropy is {above:.3} above the union, the headline{weak_cw}"),
    ))
}
