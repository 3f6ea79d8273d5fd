//! T11: PGD as the paper runs it against the other attacks of this build; the union is the headline.

use robin_aggregation::StrategyName;
use robin_attacks::{ATTACKS, Loss};

use super::bench::{Bench, number, pgd};
use super::{Answer, Scope, Status};
use crate::Result;

/// How far the paper's PGD may lie above the union.
const ALLOWED: f64 = 0.01;

/// Attacks of the list with tests of their own.
const ELSEWHERE: &[&str] = &["pgd", "random-noise", "square"];

/// Attacks that take thousands of steps, and come with the full battery only.
const SLOW: &[&str] = &["cw", "cw-linf"];

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
    for entry in ATTACKS {
        let slow = bench.scope == Scope::Subset && SLOW.contains(&entry.name);
        // Some attacks exist for one norm only.
        if ELSEWHERE.contains(&entry.name) || slow || entry.example.build(bench.budget).is_err() {
            continue;
        }
        let found = bench.attack(entry.example, bench.budget, Loss::Margin, softmax)?.worst;
        join(format!("{} margin", entry.name), &found.broken);
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
