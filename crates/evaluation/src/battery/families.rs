//! T30: a defence trained against PGD may have learnt PGD. Attacks of other families must be among those
//! tried.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss};
use serde_json::json;

use super::context::{EvaluationContext, listed, number};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "one-family-only",
    means: "Only gradient steps and noise could be tried, and a model that was trained against PGD may have \
            learnt PGD.",
    todo: "Choose a norm that other attacks exist in, or add --attack square, fmn or autoattack.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let families = [
        ("noise", Some(Config::RandomNoise(robin_attacks::random_noise::Settings { candidates: 10 }))),
        ("minimal perturbation", listed("ddn", &[]).or_else(|| listed("fmn", &[]))),
        ("queries", listed("square", &[("queries", json!(100))])),
    ];
    let mut numbers = vec![number("gradient steps", context.base()?.worst.accuracy())];
    for (name, config) in families {
        let Some(config) = config.filter(|config| config.build(context.budget).is_ok()) else { continue };
        let found = context.attack(config, context.budget, Loss::Margin, StrategyName::Softmax.into())?;
        numbers.push(number(name, found.worst.accuracy()));
    }
    // Noise alone is no attack.
    let status = if numbers.len() > 2 { Status::Pass } else { Status::Warn };
    let note = format!("{} families were tried", numbers.len());
    Ok(Answer::new(status, numbers, note))
}
