//! Objectives over all score columns against the labels, with analytic gradients on the host.
//!
//! Work is done in f64 and rounded to f32 once, at the end.

mod cross_entropy;
mod dlr;
mod margin;
mod one_class;
mod one_vs_all;
mod targeted;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use robin_core::{Error, ObjectiveValues, Result, Scores};

pub use cross_entropy::CrossEntropy;
pub use dlr::Dlr;
pub use margin::Margin;
pub use one_class::{OneClassCrossEntropy, OneClassMargin};
pub use one_vs_all::OneVsAllCrossEntropy;
pub use targeted::{TargetedCrossEntropy, TargetedDlr, TargetedMargin};

/// Evaluates `row(scores, label, gradient) -> value` for every example; `gradient` comes zeroed.
fn evaluate_rows(
    scores: &Scores,
    labels: &[u32],
    row: impl Fn(&[f32], usize, &mut [f32]) -> f64,
) -> Result<ObjectiveValues> {
    evaluate_towards(scores, labels, labels, |scores, label, _, gradient| row(scores, label, gradient))
}

/// Evaluates `row(scores, label, target, gradient) -> value` for every example; `gradient` comes zeroed.
fn evaluate_towards(
    scores: &Scores,
    labels: &[u32],
    targets: &[u32],
    row: impl Fn(&[f32], usize, usize, &mut [f32]) -> f64,
) -> Result<ObjectiveValues> {
    let classes = scores.columns();
    if scores.len() != labels.len() || classes < 2 {
        return Err(Error::Shape {
            what: "scores",
            found: scores.tensor().dims().to_vec(),
            expected: format!("[{}, k] with k >= 2", labels.len()),
        });
    }
    for classes_of_examples in [labels, targets] {
        let mut numbered = classes_of_examples.iter().enumerate();
        if let Some((example, &label)) = numbered.find(|(_, label)| **label as usize >= classes) {
            return Err(Error::Label { example, label, classes });
        }
    }
    let score_values = scores.to_vec()?;
    let mut gradient = vec![0.0; score_values.len()];
    let values = score_values
        .chunks_exact(classes)
        .zip(gradient.chunks_exact_mut(classes))
        .zip(labels.iter().zip(targets))
        .map(|((scores, gradient), (&label, &target))| {
            row(scores, label as usize, target as usize, gradient) as f32
        })
        .collect();
    let score_gradient = Tensor::from_vec(gradient, (labels.len(), classes), &Device::Cpu)?;
    Ok(ObjectiveValues { values, score_gradient })
}

/// The highest score outside column `without`, and its column; the first one on a tie. `row` has at least
/// two columns.
fn highest_but(row: &[f32], without: usize) -> (usize, f32) {
    // Masked by -infinity, never by 0: the wrong scores of one-vs-all arms are normally all negative.
    let mut best = (without, f32::NEG_INFINITY);
    for (column, &score) in row.iter().enumerate() {
        if column != without && score > best.1 {
            best = (column, score);
        }
    }
    best
}
