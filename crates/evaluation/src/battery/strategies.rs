//! T12: the paper's three strategies against all others; the union is the headline.

use robin_aggregation::{Combine, Rank, STRATEGIES, StrategyConfig, StrategyName};
use robin_attacks::Loss;

use super::context::{EvaluationContext, Kind, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "other-strategies-stronger",
    means: "The strategies that papers report leave more correct than all strategies together. If even the \
            union is not above chance, the classifier is not robust at all.",
    todo: "Report the union. At chance or below: do not call this model robust at this budget.",
};

/// How far the paper's number may lie above the union.
const ALLOWED: f64 = 0.01;

/// A union at chance or below it is a classifier that is not robust at all, whatever the other tests say.
pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let paper = [StrategyName::Softmax, StrategyName::BestArm, StrategyName::Top2];
    let mut configs: Vec<(StrategyConfig, Loss)> = Vec::new();
    for entry in STRATEGIES {
        let of_whole = matches!(entry.name, StrategyName::Softmax | StrategyName::MarginT);
        if context.kind == Kind::Whole && !of_whole {
            continue;
        }
        configs.extend([Loss::Ce, Loss::Margin].map(|loss| (entry.name.into(), loss)));
        if entry.combines {
            let normalised = StrategyConfig { combine: Combine::Normalised, ..entry.name.into() };
            configs.push((normalised, Loss::Margin));
        }
        if entry.ranks {
            configs.push((StrategyConfig { rank: Rank::Current, ..entry.name.into() }, Loss::Margin));
        }
    }
    let mut union = vec![false; context.images()];
    let (mut lowest, mut numbers) = (1.0_f64, Vec::new());
    for (config, loss) in configs {
        let found = context.attack(pgd(10, 1), context.budget, loss, config)?.worst;
        union.iter_mut().zip(&found.misclassified).for_each(|(any, found)| *any |= found);
        if loss == Loss::Ce && paper.contains(&config.name) {
            lowest = lowest.min(found.accuracy());
        }
        numbers.push((format!("{config} {loss}"), found.accuracy()));
    }
    let headline = crate::accuracy(&union);
    let above = lowest - headline;
    let chance = 1.0 / context.model.num_classes() as f64;
    numbers.extend([number("paper", lowest), number("union", headline), number("chance", chance)]);
    let status = match headline {
        headline if headline <= chance => Status::Fail,
        _ if above > ALLOWED => Status::Warn,
        _ => Status::Pass,
    };
    let note = match status {
        Status::Fail => {
            format!("the union {headline:.3} is not above chance {chance:.3}: this is not robust")
        }
        _ => format!("the lowest of the paper's strategies is {above:.3} above the union, the headline"),
    };
    Ok(Answer::new(status, numbers, note))
}
