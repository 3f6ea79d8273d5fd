//! TRADES: cross-entropy on the clean image, and predictions that do not change within the budget.
//!
//! `CE(z, y) + lambda KL(p || q)` with p from the clean logits z and q from the perturbed ones, averaged over the batch
//! (Zhang et al. 2019, equation 5; the reference project's `trades.py` calls lambda `beta`). The gradient flows to
//! both sides of the divergence, as there. It needs none of the bounds that ports put on p, which vanishes here
//! without a NaN.

use robin_core::{Result, Scores};

use super::{LogSoftmax, Losses, cross_entropy, divergence, over_pairs};

/// Of the logits `[n, k]` of the same examples, clean and perturbed, against `labels` `[n]`; `smoothing` of the
/// cross-entropy's labels, in `[0, 1)`.
///
/// # Errors
/// If shapes or labels do not fit, or a logit is not finite.
pub fn trades(
    clean: &Scores,
    perturbed: &Scores,
    labels: &[u32],
    lambda: f64,
    smoothing: f64,
) -> Result<Losses> {
    over_pairs(clean, perturbed, labels, &|p, q, label, on_clean, on_perturbed| {
        row(p, q, (label, smoothing), lambda, on_clean, on_perturbed)
    })
}

/// The value for one example; adds its gradients.
pub(crate) fn row(
    p: &LogSoftmax,
    q: &LogSoftmax,
    (label, smoothing): (usize, f64),
    lambda: f64,
    on_clean: &mut [f64],
    on_perturbed: &mut [f64],
) -> f64 {
    let clean = cross_entropy::row(p, label, smoothing, on_clean);
    clean + lambda * divergence::row(p, q, lambda, on_clean, on_perturbed)
}
