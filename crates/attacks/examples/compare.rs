//! Prints this crate's attacks beside those of torchattacks, adv-lib and pyautoattack, on the same weights and images:
//! `cargo run --release -p robin-attacks --example compare`. The others' numbers come from
//! `fixtures/pytorch/compare_attacks.py`. Takes minutes; words given as
//! arguments choose rows that have one of them.

#![allow(clippy::print_stdout, reason = "a program that prints its table")]

#[path = "../tests/subject/mod.rs"]
mod subject;

use robin_attacks::{Config, Loss, Pgd, Start, StepSize, autoattack};
use robin_core::{CancelToken, Columns, Norm, Result, Seed, host};
use subject::Subject;

/// Seeds of ours and of theirs: what differs between the seeds of one program is no difference between programs.
const SEEDS: [u64; 3] = [2, 3, 4];

/// Accuracies may differ by so much, medians of distances by this share, paths by this.
const POINTS: f64 = 0.005;
const SHARE: f64 = 0.02;
const PATH: f64 = 1e-4;

/// How far a path may move from f64 to f32 in the others' program.
const STABLE: f64 = 1e-5;

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |row: &str| chosen.is_empty() || chosen.iter().any(|word| row.contains(word.as_str()));
    println!("| classifier | what | n | ours | theirs | difference | within |");
    println!("|---|---|---|---|---|---|---|");
    for name in ["cnn2-small", "one-vs-all", "resnet18"] {
        let subject = Subject::load(name);
        let has = |key: &str| {
            let there = subject.numbers.names().iter().any(|found| found == key);
            there && wanted(&format!("{name} {key}"))
        };
        for budget in subject.budgets() {
            let norm = budget.norm;
            if has(&format!("path.{norm}.final")) {
                path(&subject, norm)?;
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
                for &seed in SEEDS.iter().take(theirs.len()) {
                    let [worst, _] = subject.broken(stage.attack, budget, stage.loss, n, seed)?;
                    ours.push(standing(&worst));
                }
                let theirs: Vec<f64> = theirs.iter().map(|broken| standing(broken)).collect();
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

/// What is broken in each of the others' runs, by the seeds that there are.
fn theirs(subject: &Subject, prefix: &str) -> Vec<Vec<bool>> {
    let seeds = subject.numbers.under(prefix);
    let run = |seed: &String| subject.numbers.integers(&format!("{prefix}{seed}"));
    let runs = seeds.iter().filter(|seed| seed.parse::<u64>().is_ok()).map(run);
    runs.map(|broken| broken.iter().map(|&broken| broken == 1).collect()).collect()
}

/// PGD-20. The others' returns its last iterate.
fn pgd(subject: &Subject, norm: Norm) -> Result<()> {
    let budget = subject.budgets().into_iter().find(|budget| budget.norm == norm).expect("a known norm");
    let config = |start| Config::Pgd { steps: 20, restarts: 1, step_size: StepSize::STANDARD, start };
    let clean = subject.numbers.integers(&format!("torchattacks.pgd.{norm}.clean"));
    let clean: Vec<bool> = clean.iter().map(|&broken| broken == 1).collect();
    let n = clean.len();
    let [_, last] = subject.broken(config(Start::Clean), budget, Loss::Ce, n, SEEDS[0])?;
    let what = format!("torchattacks.pgd.{norm}, from the clean image, last iterate");
    accuracies(subject.name, &what, n, &[standing(&last)], &[standing(&clean)]);
    let (mut worst, mut last) = (Vec::new(), Vec::new());
    for seed in SEEDS {
        let [ours_worst, ours_last] =
            subject.broken(config(Start::UniformInBall), budget, Loss::Ce, n, seed)?;
        worst.push(standing(&ours_worst));
        last.push(standing(&ours_last));
    }
    let mut others = vec![(format!("torchattacks.pgd.{norm}."), "random start")];
    if norm == Norm::L2 {
        others.insert(0, ("torchattacks.pgd-in-ball.l2.".to_owned(), "start uniform in the ball"));
    }
    for (prefix, start) in others {
        let theirs: Vec<f64> = theirs(subject, &prefix).iter().map(|broken| standing(broken)).collect();
        if theirs.is_empty() {
            continue;
        }
        for (iterate, ours) in [("last", &last), ("worst", &worst)] {
            let what = format!("torchattacks.pgd.{norm}, {start}, {iterate} iterate");
            accuracies(subject.name, &what, n, ours, &theirs);
        }
    }
    Ok(())
}

/// Ten steps from the clean images, which need no random number.
fn path(subject: &Subject, norm: Norm) -> Result<()> {
    let theirs = subject.numbers.f32(&format!("path.{norm}.final"));
    let objectives = subject.numbers.f32(&format!("path.{norm}.objective"));
    let n = objectives.len();
    let (batch, _) = subject.first(n);
    let budget = subject.budgets().into_iter().find(|budget| budget.norm == norm).expect("a known norm");
    let step_size = 2.5 * budget.epsilon.get() / 10.0;
    let attack = Pgd { budget, steps: 10, step_size, restarts: 1, start: Start::Clean };
    let objective = Loss::Ce.against(batch.labels.clone());
    let model = &*subject.classifier;
    let moved = attack.ascend(model, &*objective, &batch, Seed::new(0), &CancelToken::new())?;
    let values = objective.evaluate(&model.scores(&moved, &Columns::All)?)?.values;
    let ours = host::to_vec(&moved)?;
    let length = ours.len() / n;
    let far: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| f64::from((a - b).abs())).collect();
    // Where torchattacks in f32 is not where it is in f64, rounding decides a step, and not the program.
    let rounding = subject.numbers.f64(&format!("path.{norm}.float64"));
    let stable: Vec<usize> = (0..n).filter(|&row| rounding[row] <= STABLE).collect();
    let largest = |rows: &[usize]| {
        let row = |&row: &usize| far[row * length..(row + 1) * length].iter().copied().fold(0.0, f64::max);
        rows.iter().map(row).fold(0.0, f64::max)
    };
    let apart = values.iter().zip(&objectives).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    let equal = far.iter().filter(|&&far| far <= 1e-6).count() as f64 / far.len() as f64;
    let within = apart <= PATH
        && match norm {
            Norm::Linf => equal >= 0.999,
            Norm::L2 => largest(&stable) <= PATH,
        };
    println!(
        "| {} | 10 steps from the clean image, {norm} | {n} | | | {:.3}% of pixels equal; largest difference {:.1e}, {:.1e} on \
         the {} images that rounding does not decide; objectives within {apart:.1e} | {} |",
        subject.name,
        100.0 * equal,
        largest(&(0..n).collect::<Vec<_>>()),
        largest(&stable),
        stable.len(),
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

fn standing(broken: &[bool]) -> f64 {
    broken.iter().filter(|broken| !**broken).count() as f64 / broken.len() as f64
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
