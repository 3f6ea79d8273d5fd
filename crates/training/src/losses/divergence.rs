//! How far perturbed predictions are from clean ones: what TRADES' attack maximises and its loss lowers.
//!
//! `KL(p || q) = sum_i p_i (log p_i - log q_i)`, p = softmax of the clean logits, q of the perturbed ones (Zhang et al.
//! 2019, "Theoretically principled trade-off between robustness and accuracy", equation 5 with KL as its loss).

use candle_core::{Device, Tensor};
use robin_core::{Columns, Error, Objective, ObjectiveValues, Result, Scores};

use super::{LogSoftmax, tensor};

/// `KL(p || q)` per example as an objective of the perturbed image; the clean predictions stand still.
///
/// At the clean image itself value and gradient are 0, so an attack on it has to begin elsewhere.
#[derive(Debug, Clone)]
pub struct Divergence {
    clean: Vec<LogSoftmax>,
}

impl Divergence {
    /// From the clean images' logits `[n, k]`.
    ///
    /// # Errors
    /// If a logit is not finite.
    pub fn from(clean: &Scores) -> Result<Self> {
        let values = clean.to_vec()?;
        Ok(Self { clean: values.chunks_exact(clean.columns()).map(LogSoftmax::of).collect() })
    }
}

impl Objective for Divergence {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        let k = self.clean.first().map_or(scores.columns(), |p| p.p.len());
        if scores.len() != self.clean.len() || scores.columns() != k {
            return Err(Error::Shape {
                what: "scores",
                found: scores.tensor().dims().to_vec(),
                expected: format!("[{}, {k}]", self.clean.len()),
            });
        }
        let rows = scores.to_vec()?;
        let mut gradient = vec![0.0; rows.len()];
        let values = self
            .clean
            .iter()
            .zip(rows.chunks_exact(k))
            .zip(gradient.chunks_exact_mut(k))
            .map(|((p, scores), gradient)| {
                let q = LogSoftmax::of(scores);
                for (j, slot) in gradient.iter_mut().enumerate() {
                    *slot = p.excess_of(&q, j);
                }
                value(p, &q) as f32
            })
            .collect();
        if self.clean.is_empty() {
            let score_gradient = Tensor::zeros((0, k), candle_core::DType::F32, &Device::Cpu)?;
            return Ok(ObjectiveValues { values, score_gradient });
        }
        Ok(ObjectiveValues { values, score_gradient: tensor(&gradient, self.clean.len(), k)? })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { clean: rows.iter().map(|&row| self.clean[row].clone()).collect() })
    }
}

/// `KL(p || q)`, as a sum of `p_i (r - 1 - log r)` with `r = q_i / p_i`: no term is negative, so none cancels.
pub(super) fn value(p: &LogSoftmax, q: &LogSoftmax) -> f64 {
    let term = |i: usize| {
        let log_ratio = q.log[i] - p.log[i];
        if log_ratio > 1.0 {
            // Here p_i may have vanished while q_i has not.
            (q.p[i] - p.p[i]) - p.p[i] * log_ratio
        } else {
            p.p[i] * (log_ratio.exp_m1() - log_ratio)
        }
    };
    (0..p.p.len()).map(term).sum()
}

/// Adds `scale` times the gradient of `KL(p || q)` on the clean and on the perturbed logits, and returns the value.
pub(crate) fn row(
    p: &LogSoftmax,
    q: &LogSoftmax,
    scale: f64,
    on_clean: &mut [f64],
    on_perturbed: &mut [f64],
) -> f64 {
    let divergence = value(p, q);
    for (j, (clean, perturbed)) in on_clean.iter_mut().zip(on_perturbed).enumerate() {
        *clean += scale * p.p[j] * ((p.log[j] - q.log[j]) - divergence);
        *perturbed += scale * p.excess_of(q, j);
    }
    divergence
}
