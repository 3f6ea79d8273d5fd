//! T7: random perturbations must not break what gradients could not.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss};

use super::context::{EvaluationContext, number, only_in};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "noise-beats-gradients",
    means: "Random perturbations break images that gradient attacks leave correct, so gradients are masked \
            and do not lead downhill.",
    todo: "Believe the union only, not the gradient attacks. Find what masks the gradient (rounding, \
            saturation, randomness) and attack without it.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let candidates = context.choose(200, 10_000);
    let config = Config::RandomNoise(robin_attacks::random_noise::Settings { candidates });
    let noise = context.attack(config, context.budget, Loss::Margin, StrategyName::Softmax.into())?.worst;
    let missed = only_in(&noise.misclassified, &context.base()?.worst.misclassified);
    let status = if missed == 0 { Status::Pass } else { Status::Fail };
    let numbers = [
        number("samples", candidates as f64),
        number("accuracy", noise.accuracy()),
        number("missed by gradients", missed as f64),
    ];
    Ok(Answer::new(status, numbers, format!("noise breaks {missed} examples that gradients do not")))
}
