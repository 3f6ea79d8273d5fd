//! T17: an example's verdict is its own, whatever stands beside it.

use candle_core::Tensor;
use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Batch, host};

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "batch-changes-verdicts",
    means: "An image's verdict depends on what stands beside it in the batch, on the order, or on the number \
            of threads. Then the classifier is no function of one image.",
    todo: "Take batch statistics and randomness out of the model: evaluation mode, frozen batch norm. If the \
            model has none, report it as a fault.",
};

/// Verdict and image of each example.
type Verdicts = Vec<(u32, Vec<f32>)>;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let batch = context.right(context.choose(24, 256))?;
    if batch.is_empty() {
        return Ok(Answer::new(Status::Skipped, [], "no example is right when clean"));
    }
    let n = batch.len();
    let forwards: Vec<usize> = (0..n).collect();
    let backwards: Vec<usize> = (0..n).rev().collect();
    let reference = verdicts(context, &batch, &forwards, n)?;
    let mut different = Vec::new();
    for (what, order, size) in
        [("alone", &forwards, 1), ("in sevens", &forwards, 7), ("backwards", &backwards, n)]
    {
        different.push((what.to_owned(), differing(&reference, &verdicts(context, &batch, order, size)?)));
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(candle_core::Error::wrap)?;
        let found = pool.install(|| verdicts(context, &batch, &forwards, n))?;
        different.push((format!("{threads} threads"), differing(&reference, &found)));
    }
    let total: f64 = different.iter().map(|(_, count)| count).sum();
    let status = if total == 0.0 { Status::Pass } else { Status::Fail };
    different.push(number("n", n as f64));
    Ok(Answer::new(status, different, format!("{total} images or verdicts differ")))
}

fn differing(a: &Verdicts, b: &Verdicts) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a != b).count() as f64
}

/// In the batch's order, made in `order`, `size` at a time.
fn verdicts(
    context: &EvaluationContext<'_>,
    batch: &Batch,
    order: &[usize],
    size: usize,
) -> Result<Verdicts> {
    let mut found = vec![(0, Vec::new()); batch.len()];
    for rows in order.chunks(size) {
        let part = batch.select(rows)?;
        let made = context.perturb(pgd(5, 1), Loss::Margin, StrategyName::Softmax.into(), &part)?.worst;
        let image = |row: usize| -> Result<Vec<f32>> {
            let one: Tensor = made.images.narrow(0, row, 1)?;
            Ok(host::to_vec(&one)?)
        };
        for (at, &row) in rows.iter().enumerate() {
            found[row] = (made.verdicts[at].prediction, image(at)?);
        }
    }
    Ok(found)
}
