//! What training lowers: values and analytic gradients on the logits, per example, on the host.
//!
//! Work is done in f64 on log-probabilities and rounded to f32 once, at the end. No probability is ever divided by
//! and no logarithm is taken of one that may have vanished, so nothing overflows where logits saturate.

pub(crate) mod cross_entropy;
pub(crate) mod divergence;
mod log_softmax;
mod mart;
#[cfg(test)]
mod tests;
pub(crate) mod trades;

use candle_core::{Device, Tensor};
use robin_core::{Error, ObjectiveValues, Result, Scores};

pub use cross_entropy::cross_entropy;
pub use divergence::Divergence;
pub(crate) use log_softmax::LogSoftmax;
pub use mart::mart;
pub use trades::trades;

/// A loss's value and derivatives, per example.
#[derive(Debug, Clone)]
pub struct Losses {
    /// `[n]`.
    pub values: Vec<f64>,
    /// For each batch of logits that went in, the derivative of each example's own value on its logits, `[n, k]`.
    pub gradients: Vec<Tensor>,
}

impl Losses {
    /// What an attack maximises, as what a training lowers.
    pub(crate) fn of(evaluation: &ObjectiveValues) -> Self {
        Self {
            values: evaluation.values.iter().map(|&value| f64::from(value)).collect(),
            gradients: vec![evaluation.score_gradient.clone()],
        }
    }
}

/// The value of one example from its log-probabilities when clean and perturbed and its label; the last two are
/// the gradients on both rows of logits, which come zeroed.
type PairRow<'a> = dyn Fn(&LogSoftmax, &LogSoftmax, usize, &mut [f64], &mut [f64]) -> f64 + 'a;

/// `row` for every example of two batches of logits `[n, k]` of the same examples.
fn over_pairs(clean: &Scores, perturbed: &Scores, labels: &[u32], row: &PairRow<'_>) -> Result<Losses> {
    let k = check(clean, labels)?;
    if check(perturbed, labels)? != k {
        return Err(shape(perturbed, format!("[{}, {k}]", labels.len())));
    }
    let (clean, perturbed) = (clean.to_vec()?, perturbed.to_vec()?);
    let (mut clean_gradient, mut perturbed_gradient) = (vec![0.0; clean.len()], vec![0.0; perturbed.len()]);
    let gradients = clean_gradient.chunks_exact_mut(k).zip(perturbed_gradient.chunks_exact_mut(k));
    let values = clean
        .chunks_exact(k)
        .zip(perturbed.chunks_exact(k))
        .zip(gradients)
        .zip(labels)
        .map(|(((clean, perturbed), (on_clean, on_perturbed)), &label)| {
            let (p, q) = (LogSoftmax::of(clean), LogSoftmax::of(perturbed));
            row(&p, &q, label as usize, on_clean, on_perturbed)
        })
        .collect();
    let gradients = [clean_gradient, perturbed_gradient].map(|values| tensor(&values, labels.len(), k));
    Ok(Losses { values, gradients: gradients.into_iter().collect::<Result<_>>()? })
}

/// The number of classes `k`, if `logits` are `[n, k]` with `k >= 2` and every label is below `k`.
fn check(logits: &Scores, labels: &[u32]) -> Result<usize> {
    let classes = logits.columns();
    if logits.len() != labels.len() || classes < 2 {
        return Err(shape(logits, format!("[{}, k] with k >= 2", labels.len())));
    }
    match labels.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
        Some((example, &label)) => Err(Error::Label { example, label, classes }),
        None => Ok(classes),
    }
}

fn shape(logits: &Scores, expected: String) -> Error {
    Error::Shape { what: "logits", found: logits.tensor().dims().to_vec(), expected }
}

/// Rounds to f32, `[n, k]`.
fn tensor(values: &[f64], n: usize, k: usize) -> Result<Tensor> {
    let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
    Ok(Tensor::from_vec(values, (n, k), &Device::Cpu)?)
}
