//! MART: boosted cross-entropy on the perturbed image, and a divergence that counts where the clean image is doubtful.
//!
//! `-log q_y - log(1.0001 - q_k + 1e-12) + lambda (1.0000001 - p_y) sum_i p_i (log p_i - log(q_i + 1e-12))`, with p
//! from the clean logits, q from the perturbed ones and k the likeliest wrong class of q, averaged over the batch (Wang
//! et al. 2020, "Improving adversarial robustness requires revisiting misclassified examples", equation 11). The three
//! small constants are those of the reference project's `mart.py`. With two classes `1 - q_k` is `q_y`, so that the
//! boosted cross-entropy is nearly twice the plain one.

use robin_core::{Result, Scores};

use super::{LogSoftmax, Losses, cross_entropy, over_pairs};

/// Added to 1 in `1 - q_k`: bounds the margin term by `-log(1e-4)`.
const MARGIN: f64 = 1e-4;
/// Added under both logarithms of probabilities.
const FLOOR: f64 = 1e-12;
/// Added to 1 in `1 - p_y`.
const DOUBT: f64 = 1e-7;

/// Of the logits `[n, k]` of the same examples, clean and perturbed, against `labels` `[n]`.
///
/// # Errors
/// If shapes or labels do not fit, or a logit is not finite.
pub fn mart(clean: &Scores, perturbed: &Scores, labels: &[u32], lambda: f64) -> Result<Losses> {
    over_pairs(clean, perturbed, labels, &|p, q, label, on_clean, on_perturbed| {
        row(p, q, label, lambda, on_clean, on_perturbed)
    })
}

pub(super) fn row(
    p: &LogSoftmax,
    q: &LogSoftmax,
    label: usize,
    lambda: f64,
    on_clean: &mut [f64],
    on_perturbed: &mut [f64],
) -> f64 {
    let classes = 0..p.p.len();
    let plain = cross_entropy::row(q, label, 0.0, on_perturbed);

    // The likeliest wrong class, by logarithms: probabilities may all have vanished.
    let wrong = classes.clone().filter(|&j| j != label);
    let wrong = wrong.reduce(|best, j| if q.log[j] > q.log[best] { j } else { best });
    let wrong = wrong.expect("there are two classes or more");
    let room = MARGIN + q.rest(wrong) + FLOOR;
    let margin = -room.ln();
    for (j, slot) in on_perturbed.iter_mut().enumerate() {
        let derivative = if j == wrong { q.rest(j) } else { -q.p[j] };
        *slot += q.p[wrong] * derivative / room;
    }

    let doubt = DOUBT + p.rest(label);
    let log_q: Vec<f64> = q.p.iter().map(|q| (q + FLOOR).ln()).collect();
    let term = |i: usize| if p.p[i] == 0.0 { 0.0 } else { p.p[i] * (p.log[i] - log_q[i]) };
    let divergence: f64 = classes.clone().map(term).sum();
    // d log(q_i + floor) / d z_j = w_i ([i = j] - q_j), w_i = q_i / (q_i + floor).
    let weight = |i: usize| p.p[i] * q.p[i] / (q.p[i] + FLOOR);
    let total: f64 = classes.clone().map(weight).sum();
    for j in classes {
        let doubt_derivative = p.p[label] * if j == label { -p.rest(j) } else { p.p[j] };
        let own = term(j) - p.p[j] * divergence;
        on_clean[j] += lambda * (doubt * own + divergence * doubt_derivative);
        on_perturbed[j] += lambda * doubt * (q.p[j] * total - weight(j));
    }
    plain + margin + lambda * doubt * divergence
}
