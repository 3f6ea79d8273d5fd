//! T6: iterated attacks beat a single step, that beats noise, and noise beats nothing. The other way round,
//! gradients point nowhere.

use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss};

use super::bench::{Bench, number};
use super::{Answer, Status};
use crate::Result;

pub(super) fn run(bench: &Bench<'_>) -> Result<Answer> {
    let softmax = StrategyName::Softmax.into();
    let accuracy = |config| {
        Ok::<_, crate::Error>(bench.attack(config, bench.budget, Loss::Margin, softmax)?.worst.accuracy())
    };
    let iterated = bench.base()?.worst.accuracy();
    let single = accuracy(Config::Fgsm {})?;
    let noise = accuracy(Config::RandomNoise { candidates: 10 })?;
    let chain = [iterated, single, noise, bench.clean.accuracy()];
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
