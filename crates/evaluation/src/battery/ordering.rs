//! T6: iterated attacks beat a single step, that beats noise, and noise beats nothing. The other way round,
//! gradients point nowhere.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss};

use super::context::{EvaluationContext, number};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "weaker-attack-wins",
    means: "An attack that does less finds more: a single step beats many, or noise beats gradients. Then \
            gradients point nowhere useful. A warning: no attack breaks anything, which a classifier seldom \
            deserves.",
    todo: "Look at gradients-vanish and loss-gradients-false first; attack with loss margin and with square. If \
            nothing breaks, check that epsilon is in pixels from 0 to 1 and is not tiny.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let softmax = StrategyName::Softmax.into();
    let accuracy = |config| {
        Ok::<_, crate::Error>(context.attack(config, context.budget, Loss::Margin, softmax)?.worst.accuracy())
    };
    let iterated = context.base()?.worst.accuracy();
    let single = accuracy(Config::Fgsm(robin_attacks::fgsm::Settings {}))?;
    let noise = accuracy(Config::RandomNoise(robin_attacks::random_noise::Settings { candidates: 10 }))?;
    let chain = [iterated, single, noise, context.clean.accuracy()];
    let names = ["iterated", "single step", "noise", "clean"];
    let status = match chain {
        chain if chain.windows(2).any(|pair| pair[0] > pair[1]) => Status::Fail,
        [iterated, .., clean] if iterated < clean => Status::Pass,
        _ => Status::Warn,
    };
    let numbers = names.iter().zip(chain).map(|(name, accuracy)| number(name, accuracy));
    let note = match status {
        Status::Fail => "a weaker attack finds more than a stronger one",
        Status::Warn => "no attack breaks anything",
        _ => "in order",
    };
    Ok(Answer::new(status, numbers, note))
}
