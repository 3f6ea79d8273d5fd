//! T9: an attack that only asks for scores must not break what gradients could not (Square, Andriushchenko
//! 2020).

use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use serde_json::json;

use super::context::{EvaluationContext, listed, number, only_in};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "queries-beat-gradients",
    means: "Square, which only asks for scores, breaks images that gradient attacks leave correct: gradients \
            are masked or shattered.",
    todo: "Believe the union only, and add --attack square or autoattack to every evaluation of this model. \
            Find what masks the gradient and attack without it. One image of few is a warning: take more \
            images.",
};

/// By how much the union may improve.
const ALLOWED: f64 = 0.002;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let queries = context.choose(1000, 5000);
    let names = ["queries", "n_queries", "steps"];
    let Some(config) = names.iter().find_map(|name| listed("square", &[(name, json!(queries))])) else {
        return Ok(Answer::new(Status::Skipped, [], "this build has no attack `square`"));
    };
    let found = context.attack(config, context.budget, Loss::Margin, StrategyName::Softmax.into())?.worst;
    let missed = only_in(&found.misclassified, &context.base()?.worst.misclassified);
    let gain = missed as f64 / context.images() as f64;
    let status = match gain {
        gain if gain <= ALLOWED => Status::Pass,
        // One example of few is more than what is allowed, and no proof of masking.
        _ if missed == 1 => Status::Warn,
        _ => Status::Fail,
    };
    let numbers = [
        number("queries", f64::from(queries)),
        number("accuracy", found.accuracy()),
        number("missed by gradients", missed as f64),
    ];
    Ok(Answer::new(status, numbers, format!("queries break {missed} examples that gradients do not")))
}
