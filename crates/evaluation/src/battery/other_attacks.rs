//! T11: PGD as the paper runs it against the other attacks of this build; the union is the headline.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::bench::{Bench, listed, number, pgd};
use super::{Answer, Status};
use crate::Result;

/// How far the paper's PGD may lie above the union.
const ALLOWED: f64 = 0.01;

/// Attacks of the list that are tried, where this build has them, each on these losses.
const OTHERS: &[(&str, &[Loss])] = &[
    ("fgsm", &[Loss::Ce]),
    ("apgd", &[Loss::Ce, Loss::Margin]),
    ("fab", &[Loss::Margin]),
    ("fab-t", &[Loss::Margin]),
    ("ddn", &[Loss::Ce]),
    ("fmn", &[Loss::Margin]),
];

pub(super) fn run(bench: &Bench<'_>) -> Result<Answer> {
    let softmax = StrategyName::Softmax.into();
    let paper = bench.attack(pgd(20, 1), bench.budget, Loss::Ce, softmax)?.worst;
    let mut union = paper.broken.clone();
    let mut numbers = vec![number("pgd ce", paper.accuracy())];
    let mut join = |name: String, broken: &[bool]| {
        union.iter_mut().zip(broken).for_each(|(any, found)| *any |= found);
        numbers.push((name, crate::accuracy(broken)));
    };
    join("pgd margin".to_owned(), &bench.base()?.worst.broken);
    let targeted = bench.attack(pgd(20, 1), bench.budget, Loss::Margin, StrategyName::MarginT.into())?;
    join("pgd margin-t".to_owned(), &targeted.worst.broken);
    for (name, losses) in OTHERS {
        let Some(config) = listed(name, &[]) else { continue };
        // Some attacks exist for one norm only.
        if config.build(bench.budget).is_err() {
            continue;
        }
        for &loss in *losses {
            let found = bench.attack(config, bench.budget, loss, softmax)?.worst;
            join(format!("{name} {loss}"), &found.broken);
        }
    }
    let headline = crate::accuracy(&union);
    numbers.push(number("union", headline));
    let above = paper.accuracy() - headline;
    let status = if above <= ALLOWED { Status::Pass } else { Status::Warn };
    Ok(Answer::new(
        status,
        numbers,
        format!("pgd with cross-entropy is {above:.3} above the union, the headline"),
    ))
}
