//! Cross-entropy, also with label smoothing.
//!
//! `-(1 - s) log p_y - (s / k) sum_j log p_j` with smoothing `s` (Szegedy et al. 2016, section 7; PyTorch's
//! `label_smoothing`); its gradient on `z_j` is `p_j - (1 - s) [j = y] - s / k`.

use robin_attacks::objectives::CrossEntropy;
use robin_core::{Objective, Result, Scores};

use super::{LogSoftmax, Losses, check, tensor};

/// Of `logits` `[n, k]` against `labels` `[n]`; `smoothing` in `[0, 1)`.
///
/// # Errors
/// If shapes or labels do not fit, or a logit is not finite.
pub fn cross_entropy(logits: &Scores, labels: &[u32], smoothing: f64) -> Result<Losses> {
    if smoothing == 0.0 {
        // The attacks' own: rounded to f32 as records have it.
        return Ok(Losses::of(&CrossEntropy::new(labels.to_vec()).evaluate(logits)?));
    }
    let k = check(logits, labels)?;
    let rows = logits.to_vec()?;
    let mut gradient = vec![0.0; rows.len()];
    let values = rows
        .chunks_exact(k)
        .zip(gradient.chunks_exact_mut(k))
        .zip(labels)
        .map(|((logits, gradient), &label)| row(&LogSoftmax::of(logits), label as usize, smoothing, gradient))
        .collect();
    Ok(Losses { values, gradients: vec![tensor(&gradient, labels.len(), k)?] })
}

/// The value for one example; adds its gradient to `gradient`.
pub(crate) fn row(p: &LogSoftmax, label: usize, smoothing: f64, gradient: &mut [f64]) -> f64 {
    let share = smoothing / p.log.len() as f64;
    for (j, slot) in gradient.iter_mut().enumerate() {
        *slot += if j == label { (smoothing - share) - p.rest(j) } else { p.p[j] - share };
    }
    let even: f64 = if share == 0.0 { 0.0 } else { p.log.iter().map(|log| -share * log).sum() };
    (1.0 - smoothing) * -p.log[label] + even
}
