//! One loss of one network at a batch of images, with its gradient in two parts.
//!
//! Every loss here is `softplus(m)` of a margin `m` that grows as the example comes nearer to misclassified:
//! `b_i(1) = softplus(-s_i)`, `b_i(0) = softplus(s_i)`, and cross-entropy is `softplus(log sum_{j != y} exp(z_j) -
//! z_y)`. Its gradient is `sigmoid(m)` times that of the margin. The direction is taken from the margin, which does
//! not saturate, and the size is multiplied on in f64: so a network that is sure of itself has a small gradient, as
//! it should, but not a rounded direction.

use crate::{Coherence, Example};

/// A loss at `n` images.
pub(crate) struct Term {
    /// Gradient of the margin, `[n * c * h * w]`.
    pub(crate) direction: Vec<f32>,
    /// Size and sign of the loss's gradient over `direction`, `[n]`: `sigmoid(m)`, negative where `direction` is
    /// that of `-m`.
    pub(crate) factor: Vec<f64>,
}

/// `1 / (1 + exp(-m))`, which loses nothing at either end.
pub(crate) fn sigmoid(margin: f64) -> f64 {
    if margin >= 0.0 {
        1.0 / (1.0 + (-margin).exp())
    } else {
        let e = margin.exp();
        e / (1.0 + e)
    }
}

/// The largest cosine over `pairs` of the terms at the example `row`, whose image has `length` values.
pub(crate) fn example(
    terms: &[Term],
    row: usize,
    length: usize,
    pairs: impl Iterator<Item = [usize; 2]>,
) -> Example {
    let slopes: Vec<&[f32]> =
        terms.iter().map(|term| &term.direction[row * length..(row + 1) * length]).collect();
    let sizes: Vec<f64> = slopes.iter().map(|slope| dot(slope, slope).sqrt()).collect();
    let norms: Vec<f64> = sizes.iter().zip(terms).map(|(size, term)| size * term.factor[row].abs()).collect();
    // What is not finite is told first: it says more about a network than a zero elsewhere.
    let coherence = if let Some(of) = norms.iter().position(|norm| !norm.is_finite()) {
        Coherence::NotFinite { of }
    } else if let Some(of) = norms.iter().position(|&norm| norm == 0.0) {
        Coherence::Zero { of }
    } else {
        largest(pairs.map(|[a, b]| {
            let sign = terms[a].factor[row].signum() * terms[b].factor[row].signum();
            // Rounding may leave the interval by a few units in the last place.
            let value = (sign * dot(slopes[a], slopes[b]) / (sizes[a] * sizes[b])).clamp(-1.0, 1.0);
            Coherence::Cosine { value, of: [a, b] }
        }))
    };
    Example { coherence, norms }
}

/// The first of the largest.
fn largest(cosines: impl Iterator<Item = Coherence>) -> Coherence {
    cosines
        .reduce(|best, next| if next.value() > best.value() { next } else { best })
        .expect("callers check that there are two networks")
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_keeps_its_digits_at_both_ends() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!(sigmoid(-700.0), (-700.0_f64).exp());
        assert_eq!(sigmoid(800.0), 1.0);
        assert_eq!(sigmoid(-800.0), 0.0);
        assert!(sigmoid(f64::NAN).is_nan());
    }
}
