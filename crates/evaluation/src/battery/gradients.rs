//! T13: are there gradients at all? Saturated or quantised classifiers have none, and look robust.

use candle_core::{Device, Tensor};
use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, host};

use super::bench::{Bench, number, pgd};
use super::{Answer, Status};
use crate::Result;

/// The largest share of zero gradients.
const ALLOWED: f64 = 0.01;

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
        let norms = norms(bench, images)?;
        broken += norms.iter().filter(|norm| !norm.is_finite()).count();
        let zero = norms.iter().filter(|norm| **norm == 0.0).count() as f64 / norms.len() as f64;
        worst = worst.max(zero);
        let mut sorted = norms;
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        numbers.push((format!("{place}: zero"), zero));
        numbers.push((format!("{place}: 5% norm"), at(0.05)));
        numbers.push((format!("{place}: median norm"), at(0.5)));
        numbers.push((format!("{place}: 95% norm"), at(0.95)));
    }
    numbers.push(number("not finite", broken as f64));
    let status = if worst < ALLOWED && broken == 0 { Status::Pass } else { Status::Fail };
    let note = format!("at most {:.1}% of the scores' gradients are exactly zero, allowed 1%", 100.0 * worst);
    Ok(Answer::new(status, numbers, note))
}

/// Length of the input gradient of every score of every image.
fn norms(bench: &Bench<'_>, images: &Tensor) -> Result<Vec<f64>> {
    let n = images.dims()[0];
    let mut norms = Vec::new();
    for column in 0..bench.model.num_classes() {
        bench.cancel.check()?;
        let pass = bench.model.forward(images, &Columns::One(column))?;
        let ones = Tensor::from_vec(vec![1.0_f32; n], (n, 1), &Device::Cpu)?;
        let gradient = host::to_vec(&pass.input_gradient(&ones)?)?;
        let square = |g: &f32| f64::from(*g) * f64::from(*g);
        norms.extend(
            gradient.chunks_exact(gradient.len() / n).map(|g| g.iter().map(square).sum::<f64>().sqrt()),
        );
    }
    Ok(norms)
}
