//! Prints this crate's attacks beside those of torchattacks, adv-lib and pyautoattack, on one small network and the
//! same images: `cargo run --release -p robin-attacks --example compare`. The others' numbers come from
//! `fixtures/pytorch/compare_attacks.py`. Takes tens of minutes; names given as arguments choose rows.

#![allow(clippy::print_stdout, reason = "a program that prints its table")]

#[path = "../tests/network/mod.rs"]
mod network;

use std::time::Instant;

use network::Network;
use robin_attacks::{ATTACKS, Config, Loss, StepSize, autoattack};
use robin_core::{
    Batch, Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Result, Seed, Target,
};
use robin_testkit::golden;

const SEED: Seed = Seed::new(4);

fn main() -> Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|choice| name.contains(choice.as_str()));
    let numbers = golden("attacks");
    let images = numbers.tensor("images");
    let labels = numbers.integers("labels");
    let ids = (0..labels.len() as u32).map(ExampleId::first).collect();
    let whole = Batch::new(images, labels, ids)?;
    let network = Network(numbers.clone());
    let right = right(&network, &whole)?;
    println!("clean accuracy {:.4} of {}", right.len() as f64 / whole.len() as f64, whole.len());

    let twenty = |budget: Budget| Config::Pgd {
        steps: 20,
        restarts: 1,
        step_size: StepSize::Absolute(2.5 * budget.epsilon.get() / 20.0),
        start: robin_attacks::Start::UniformInBall,
    };
    for (norm, epsilon) in [(Norm::Linf, "0.15"), (Norm::L2, "1.5")] {
        let Ok(epsilon) = epsilon.parse() else { continue };
        let budget = Budget { norm, epsilon };
        let mut rows = vec![(format!("torchattacks.pgd.{norm}"), twenty(budget), Loss::Ce)];
        let stages = autoattack();
        rows.extend(
            stages
                .iter()
                .map(|stage| (format!("pyautoattack.{}.{norm}", stage.name), stage.attack, stage.loss)),
        );
        for (name, config, loss) in rows.into_iter().filter(|(name, ..)| wanted(name)) {
            let started = Instant::now();
            let broken = broken(&network, config, budget, loss, &whole.select(&right)?)?;
            let theirs = numbers.integers(&name);
            let ours: Vec<bool> =
                (0..whole.len()).map(|row| right.binary_search(&row).map_or(true, |at| broken[at])).collect();
            let n = whole.len() as f64;
            let robust = |count: usize| 1.0 - count as f64 / n;
            let differing =
                ours.iter().zip(&theirs).filter(|(ours, theirs)| **ours != (**theirs == 1)).count();
            println!(
                "{name:28} robust accuracy: ours {:.4}, theirs {:.4}, verdicts that differ {differing} ({:.0} s)",
                robust(ours.iter().filter(|broken| **broken).count()),
                robust(theirs.iter().filter(|broken| **broken == 1).count()),
                started.elapsed().as_secs_f64(),
            );
        }
    }

    for (name, attack, loss, norm) in [
        ("adv-lib.ddn", "ddn", Loss::Ce, Norm::L2),
        ("adv-lib.cw", "cw", Loss::Margin, Norm::L2),
        ("adv-lib.cw-linf", "cw-linf", Loss::Margin, Norm::Linf),
    ] {
        if !wanted(name) {
            continue;
        }
        let started = Instant::now();
        let theirs = numbers.f64(&format!("{name}.float64"));
        let rows: Vec<usize> = (0..theirs.len()).collect();
        let ours = distances(&network, attack, loss, norm, &whole.select(&rows)?)?;
        let found = |distances: &[f64]| distances.iter().filter(|distance| distance.is_finite()).count();
        println!(
            "{name:28} median distance: ours {:.4}, theirs {:.4}, median of ratios {:.4}, found {} and {} ({:.0} s)",
            median(&ours),
            median(&theirs),
            median(&ours.iter().zip(&theirs).map(|(ours, theirs)| ratio(*ours, *theirs)).collect::<Vec<_>>()),
            found(&ours),
            found(&theirs),
            started.elapsed().as_secs_f64(),
        );
    }
    Ok(())
}

/// Rows that are right when clean.
fn right(network: &Network, batch: &Batch) -> Result<Vec<usize>> {
    let predictions = network.decide(&network.scores(&batch.images, &Columns::All)?)?;
    Ok((0..batch.len()).filter(|&row| predictions[row] == batch.labels[row]).collect())
}

fn broken(network: &Network, config: Config, budget: Budget, loss: Loss, batch: &Batch) -> Result<Vec<bool>> {
    let target = Target { model: network, judge: &Misclassified, cancel: &CancelToken::new() };
    let clean = network.scores(&batch.images, &Columns::All)?;
    let objectives = loss.prepare(&clean, &batch.labels)?;
    let attack = config.build(budget).map_err(|error| robin_core::Error::Classifier(Box::new(error)))?;
    let found = attack.perturb(&target, &objectives, batch, SEED)?;
    budget.verify(&batch.images, &found.worst.images)?;
    Ok(found.worst.rulings.iter().map(|ruling| ruling.broken).collect())
}

fn distances(network: &Network, attack: &str, loss: Loss, norm: Norm, batch: &Batch) -> Result<Vec<f64>> {
    let target = Target { model: network, judge: &Misclassified, cancel: &CancelToken::new() };
    let clean = network.scores(&batch.images, &Columns::All)?;
    let objectives = loss.prepare(&clean, &batch.labels)?;
    let entry = ATTACKS.iter().find(|entry| entry.name == attack).expect("the attack is listed");
    let attack =
        entry.example.minimal(norm).map_err(|error| robin_core::Error::Classifier(Box::new(error)))?;
    let found = attack.smallest(&target, &objectives, batch, SEED, None)?;
    Ok(found.distances)
}

/// 1 where both are 0, as for what is misclassified when clean.
fn ratio(ours: f64, theirs: f64) -> f64 {
    if ours == theirs { 1.0 } else { ours / theirs }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
