//! Accuracies and how far they can be trusted.

mod contrast;
mod paired;
mod student;

use serde::{Deserialize, Serialize};

pub use contrast::{ENOUGH_SEEDS, Estimate, Replicate, paired};
pub use paired::{McNemar, Spread, Verdict, gap, mcnemar, spread, verdict};
pub use student::student;

/// An interval of accuracies, in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The 97.5% quantile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's 95% score interval (Wilson 1927) for `successes` out of `n`. Unlike the textbook's, it stays in
/// `[0, 1]` and has a width at 0 and at `n` successes. All of `[0, 1]` if `n` is 0.
///
/// # Panics
/// If there are more successes than `n`.
pub fn wilson(successes: u64, n: u64) -> Interval {
    assert!(successes <= n, "{successes} successes out of {n}");
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (count, share) = (n as f64, successes as f64 / n as f64);
    let weight = Z * Z / count;
    let centre = (share + weight / 2.0) / (1.0 + weight);
    let reach = (share * (1.0 - share) / count + weight / (4.0 * count)).sqrt() * Z / (1.0 + weight);
    Interval {
        // Exactly, where rounding would leave 1e-18.
        low: if successes == 0 { 0.0 } else { centre - reach },
        high: if successes == n { 1.0 } else { centre + reach },
    }
}

/// Share of examples that are not misclassified; NaN if there is none.
pub fn accuracy(misclassified: &[bool]) -> f64 {
    correct(misclassified) as f64 / misclassified.len() as f64
}

/// [`wilson`]'s interval of [`accuracy`].
pub fn interval(misclassified: &[bool]) -> Interval {
    wilson(correct(misclassified), misclassified.len() as u64)
}

fn correct(misclassified: &[bool]) -> u64 {
    misclassified.iter().filter(|&&misclassified| !misclassified).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_interval(successes: u64, n: u64, low: f64, high: f64, tolerance: f64) {
        let found = wilson(successes, n);
        let off = (found.low - low).abs().max((found.high - high).abs());
        assert!(off <= tolerance, "{successes}/{n}: {found:?}, expected {low} {high}");
    }

    /// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    #[test]
    fn known_intervals() {
        assert_interval(81, 263, 0.2553, 0.3662, 5e-5);
        assert_interval(15, 148, 0.0624, 0.1605, 5e-5);
        assert_interval(0, 20, 0.0, 0.1611, 5e-5);
        assert_interval(1, 29, 0.0061, 0.1718, 5e-5);
    }

    #[test]
    fn ends_are_exact_and_mirror_each_other() {
        // At 0 of n the upper end is z^2 / (n + z^2).
        assert_interval(0, 10, 0.0, Z * Z / (10.0 + Z * Z), 1e-15);
        assert_eq!(wilson(0, 1000).low, 0.0);
        assert_eq!(wilson(1000, 1000).high, 1.0);
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
        for successes in [0, 1, 17, 49, 50] {
            let (a, b) = (wilson(successes, 50), wilson(50 - successes, 50));
            assert_interval(successes, 50, 1.0 - b.high, 1.0 - b.low, 1e-15);
            assert!(a.low <= successes as f64 / 50.0 && successes as f64 / 50.0 <= a.high);
        }
    }

    #[test]
    fn accuracy_counts_what_is_not_misclassified() {
        assert_eq!(accuracy(&[true, false, false, false]), 0.75);
        assert_eq!(interval(&[true, false, false, false]), wilson(3, 4));
        assert!(accuracy(&[]).is_nan());
    }
}
