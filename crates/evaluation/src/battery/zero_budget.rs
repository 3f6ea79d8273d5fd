//! T1: a perturbation of size 0 is none. Catches attacks that do not see the image that is judged: another
//! normalisation, batch statistics, dropout.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::bench::{Bench, number, pgd};
use super::{Answer, Status};
use crate::Result;

pub(super) fn run(bench: &Bench<'_>) -> Result<Answer> {
    let found = bench.attack(pgd(10, 1), bench.scaled(0.0)?, Loss::Margin, StrategyName::Softmax.into())?;
    let predictions = found.worst.predictions.iter().zip(&bench.clean.predictions);
    let different = predictions.filter(|(after, before)| after != before).count();
    let status = if different == 0 { Status::Pass } else { Status::Fail };
    let numbers = [number("n", bench.n() as f64), number("different", different as f64)];
    Ok(Answer::new(status, numbers, format!("{different} predictions differ from the clean ones")))
}
