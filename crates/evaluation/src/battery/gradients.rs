//! T13: are there gradients at all? Saturated or quantised classifiers have none, and look robust.

use candle_core::{Device, Tensor};
use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, host};

use super::bench::{Bench, number, pgd};
use super::{Answer, Status};
use crate::Result;

/// The largest share of zero gradients, over all scores.
const ALLOWED: f64 = 0.01;

/// A binary loss at log-odds beyond this has a slope below f32's resolution of 1.
const SATURATED: f32 = 17.0;

pub(super) fn run(bench: &Bench<'_>) -> Result<Answer> {
    let batch = bench.right(usize::MAX)?;
    if batch.is_empty() {
        return Ok(Answer::new(Status::Skipped, [], "no example is right when clean"));
    }
    let softmax = StrategyName::Softmax.into();
    let mut numbers = Vec::new();
    let (mut worst, mut broken) = (0.0_f64, 0);
    let started = bench.perturb(pgd(1, 1), Loss::Margin, softmax, &batch)?.last.images;
    let ended = bench.perturb(pgd(20, 1), Loss::Margin, softmax, &batch)?.last.images;
    for (place, images) in [("clean", &batch.images), ("start", &started), ("end", &ended)] {
        let columns = norms(bench, images)?;
        let zero_share =
            |norms: &[f64]| norms.iter().filter(|norm| **norm == 0.0).count() as f64 / norms.len() as f64;
        let worst_column = columns.iter().map(|norms| zero_share(norms)).fold(0.0, f64::max);
        let mut sorted = columns.concat();
        broken += sorted.iter().filter(|norm| !norm.is_finite()).count();
        let zero = zero_share(&sorted);
        worst = worst.max(zero);
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let scores = bench.model.scores(images, &Columns::All)?.to_vec()?;
        let saturated =
            scores.iter().filter(|score| score.abs() > SATURATED).count() as f64 / scores.len() as f64;
        for (name, value) in [
            ("zero", zero),
            ("zero, worst score", worst_column),
            ("saturated scores", saturated),
            ("5% norm", at(0.05)),
            ("median norm", at(0.5)),
            ("95% norm", at(0.95)),
        ] {
            numbers.push((format!("{place}: {name}"), value));
        }
    }
    numbers.push(number("not finite", broken as f64));
    let status = if worst < ALLOWED && broken == 0 { Status::Pass } else { Status::Fail };
    let note = format!("at most {:.1}% of the scores' gradients are exactly zero, allowed 1%", 100.0 * worst);
    Ok(Answer::new(status, numbers, note))
}

/// Length of the input gradient of every image, by score.
fn norms(bench: &Bench<'_>, images: &Tensor) -> Result<Vec<Vec<f64>>> {
    let n = images.dims()[0];
    let mut norms = Vec::new();
    for column in 0..bench.model.num_classes() {
        bench.cancel.check()?;
        let pass = bench.model.forward(images, &Columns::One(column))?;
        let ones = Tensor::from_vec(vec![1.0_f32; n], (n, 1), &Device::Cpu)?;
        let gradient = host::to_vec(&pass.input_gradient(&ones)?)?;
        let square = |g: &f32| f64::from(*g) * f64::from(*g);
        let images = gradient.chunks_exact(gradient.len() / n);
        norms.push(images.map(|g| g.iter().map(square).sum::<f64>().sqrt()).collect());
    }
    Ok(norms)
}
