//! Prints this crate's attacks beside those of torchattacks, adv-lib and pyautoattack, on the same weights and images:
//! `cargo run --release -p robin-ml-attacks --example compare`. The others' numbers come from
//! `fixtures/pytorch/compare_attacks.py`. Takes minutes; words given as
//! arguments choose rows that have one of them.

#![allow(clippy::print_stdout, reason = "a program that prints its table")]

#[path = "../tests/model_under_test/mod.rs"]
mod model_under_test;

use model_under_test::ModelUnderTest;
use robin_attacks::{Config, Loss, Start, StepSize, autoattack};
use robin_core::{Budget, Norm, Result};

/// The first seed of ours and of theirs, and how many PGD runs with: what differs between the seeds of one program is no
/// difference between programs.
const FIRST_SEED: u64 = 2;
const PGD_SEEDS: u64 = 3;

/// Accuracies may differ by so much, medians of distances by this share, paths by this.
const POINTS: f64 = 0.005;
const SHARE: f64 = 0.02;
const PATH: f32 = 1e-4;

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |row: &str| chosen.is_empty() || chosen.iter().any(|word| row.contains(word.as_str()));
    println!("| classifier | what | n | ours | theirs | difference | within |");
    println!("|---|---|---|---|---|---|---|");
    for name in ["cnn2-small", "one-vs-all", "resnet18"] {
        let subject = ModelUnderTest::load(name);
        let has = |key: &str| {
            let there = subject.numbers.names().iter().any(|found| found == key);
            there && wanted(&format!("{name} {key}"))
        };
        for budget in subject.budgets() {
            let norm = budget.norm;
            if has(&format!("path.{norm}.final")) {
                path(&subject, budget)?;
            }
            if has(&format!("torchattacks.pgd.{norm}.2")) {
                pgd(&subject, norm)?;
            }
            for stage in autoattack() {
                let prefix = format!("pyautoattack.{}.{norm}.", stage.name);
                if !has(&format!("{prefix}2")) {
                    continue;
                }
                let theirs = theirs(&subject, &prefix);
                let n = theirs[0].len();
                let mut ours = Vec::new();
                // As many runs as theirs.
                for seed in (FIRST_SEED..).take(theirs.len()) {
                    let [worst, _] = subject.misclassified(stage.attack, budget, stage.loss, n, seed)?;
                    ours.push(correct(&worst));
                }
                let theirs: Vec<f64> = theirs.iter().map(|misclassified| correct(misclassified)).collect();
                accuracies(name, prefix.trim_end_matches('.'), n, &ours, &theirs);
            }
        }
        for (key, attack, norm) in [
            ("adv-lib.ddn.float64", "ddn", Norm::L2),
            ("adv-lib.cw.float64", "cw", Norm::L2),
            ("adv-lib.cw-linf.float64", "cw-linf", Norm::Linf),
        ] {
            if has(key) {
                let theirs = subject.numbers.f64(key);
                let ours = subject.distances(attack, norm, theirs.len())?;
                // What is wrong when clean tells nothing: it is at distance 0, or at what the attack rounds to.
                let (_, right) = subject.first(theirs.len());
                let [ours, theirs] =
                    [ours, theirs].map(|all| right.iter().map(|&row| all[row]).collect::<Vec<_>>());
                distances(name, key.trim_end_matches(".float64"), &ours, &theirs);
            }
        }
    }
    Ok(())
}

/// What is misclassified in each of the others' runs, by the seeds that there are.
fn theirs(subject: &ModelUnderTest, prefix: &str) -> Vec<Vec<bool>> {
    let seeds = subject.numbers.under(prefix);
    let run = |seed: &String| subject.numbers.integers(&format!("{prefix}{seed}"));
    let runs = seeds.iter().filter(|seed| seed.parse::<u64>().is_ok()).map(run);
    runs.map(|misclassified| misclassified.iter().map(|&misclassified| misclassified == 1).collect())
        .collect()
}

/// PGD-20. The others' returns its last iterate.
fn pgd(subject: &ModelUnderTest, norm: Norm) -> Result<()> {
    let budget = subject.budgets().into_iter().find(|budget| budget.norm == norm).expect("a known norm");
    let config = |start| {
        Config::Pgd(robin_attacks::pgd::Settings {
            steps: 20,
            restarts: 1,
            step_size: StepSize::STANDARD,
            start,
        })
    };
    let clean = subject.numbers.integers(&format!("torchattacks.pgd.{norm}.clean"));
    let clean: Vec<bool> = clean.iter().map(|&misclassified| misclassified == 1).collect();
    let n = clean.len();
    let [_, last] = subject.misclassified(config(Start::Clean), budget, Loss::Ce, n, FIRST_SEED)?;
    let what = format!("torchattacks.pgd.{norm}, from the clean image, last iterate");
    accuracies(subject.name, &what, n, &[correct(&last)], &[correct(&clean)]);
    let own = (format!("torchattacks.pgd.{norm}."), Start::UniformDistance, "random start");
    let ball =
        (format!("torchattacks.pgd-in-ball.{norm}."), Start::UniformInBall, "start uniform in the ball");
    for (prefix, start, name) in [ball, own] {
        let theirs: Vec<f64> =
            theirs(subject, &prefix).iter().map(|misclassified| correct(misclassified)).collect();
        if theirs.is_empty() {
            continue;
        }
        let (mut worst, mut last) = (Vec::new(), Vec::new());
        for seed in (FIRST_SEED..).take(PGD_SEEDS as usize) {
            let [ours_worst, ours_last] = subject.misclassified(config(start), budget, Loss::Ce, n, seed)?;
            worst.push(correct(&ours_worst));
            last.push(correct(&ours_last));
        }
        for (iterate, ours) in [("last", &last), ("worst", &worst)] {
            let what = format!("torchattacks.pgd.{norm}, {name}, {iterate} iterate");
            accuracies(subject.name, &what, n, ours, &theirs);
        }
    }
    Ok(())
}

/// Ten steps from the clean images, gradients in f64 on both sides; `cpu` in f32 is only told beside it.
fn path(subject: &ModelUnderTest, budget: Budget) -> Result<()> {
    let wide = subject.path(budget, subject.wide.as_ref().expect("there are paths of single networks"))?;
    let single = subject.path(budget, &*subject.classifier)?;
    let within = wide.objective <= PATH
        && match budget.norm {
            Norm::Linf => wide.equal >= 0.999,
            Norm::L2 => wide.largest_of_stable <= PATH,
        };
    println!(
        "| {} | 10 steps from the clean image, {}, gradients in f64 | {} | | | {wide} (`cpu` in f32: {single}) | {} |",
        subject.name,
        budget.norm,
        wide.images,
        word(within)
    );
    Ok(())
}

/// Robust accuracies, one per seed.
fn accuracies(name: &str, what: &str, n: usize, ours: &[f64], theirs: &[f64]) {
    let difference = mean(ours) - mean(theirs);
    println!(
        "| {name} | {what} | {n} | {} | {} | {:+.2} points | {} |",
        range(ours),
        range(theirs),
        100.0 * difference,
        word(difference.abs() <= POINTS + 1e-12)
    );
}

/// Judged image by image: the median over images rests on one or two of them.
fn distances(name: &str, what: &str, ours: &[f64], theirs: &[f64]) {
    let ratio = |(ours, theirs): (&f64, &f64)| if ours == theirs { 1.0 } else { ours / theirs };
    let single: Vec<f64> = ours.iter().zip(theirs).map(ratio).collect();
    let (ours_median, theirs_median) = (median(ours), median(theirs));
    let found = |distances: &[f64]| distances.iter().filter(|distance| distance.is_finite()).count();
    println!(
        "| {name} | {what}, median distance ({} and {} found) | {} | {ours_median:.4} | {theirs_median:.4} | {:+.2}%, median of \
         ratios {:.4} | {} |",
        found(ours),
        found(theirs),
        ours.len(),
        100.0 * (ours_median / theirs_median - 1.0),
        median(&single),
        word((median(&single) - 1.0).abs() <= SHARE)
    );
}

fn correct(misclassified: &[bool]) -> f64 {
    misclassified.iter().filter(|misclassified| !**misclassified).count() as f64 / misclassified.len() as f64
}

fn range(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low == high { format!("{low:.4}") } else { format!("{:.4} ({low:.4} to {high:.4})", mean(values)) }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[upper - 1], sorted[upper])
    } else {
        sorted[upper]
    }
}

fn word(within: bool) -> &'static str {
    if within { "yes" } else { "NO" }
}
