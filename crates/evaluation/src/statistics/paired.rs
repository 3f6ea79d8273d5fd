//! Two classifiers on the same images, and one result over several seeds: when a gap is a gap.

use serde::{Deserialize, Serialize};

use super::contrast::{ENOUGH_SEEDS, Estimate, Replicate, paired};
use crate::{Error, Result};

/// McNemar's test: do two classifiers that were shown the same images differ?
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McNemar {
    /// Examples that only the first has right.
    pub only_first: u64,
    /// Examples that only the second has right.
    pub only_second: u64,
    /// Two-sided, exact: the chance of a split at least this uneven if both were equally good.
    pub p: f64,
}

/// McNemar's exact test (McNemar 1947, by the binomial distribution of the discordant pairs, at every count)
/// on what is misclassified for the first and for the second classifier.
///
/// # Errors
/// [`Error::Examples`] if they differ in length, [`Error::Empty`] without examples.
pub fn mcnemar(first_misclassified: &[bool], second_misclassified: &[bool]) -> Result<McNemar> {
    if first_misclassified.is_empty() {
        return Err(Error::Empty);
    }
    if first_misclassified.len() != second_misclassified.len() {
        return Err(Error::Examples {
            what: "the second classifier's result",
            found: second_misclassified.len(),
            expected: first_misclassified.len(),
        });
    }
    let pairs = || first_misclassified.iter().zip(second_misclassified);
    let only_first = pairs().filter(|(first, second)| !**first && **second).count() as u64;
    let only_second = pairs().filter(|(first, second)| **first && !**second).count() as u64;
    Ok(McNemar::of(only_first, only_second))
}

impl McNemar {
    /// Below this p two classifiers differ.
    pub const SIGNIFICANT: f64 = 0.05;

    /// The test on so many examples that only the first, and only the second, has right.
    pub fn of(only_first: u64, only_second: u64) -> Self {
        Self { only_first, only_second, p: two_sided(only_first, only_second) }
    }
}

/// Twice the chance of `min(a, b)` heads or fewer in `a + b` throws of a fair coin, at most 1.
fn two_sided(a: u64, b: u64) -> f64 {
    let (n, few) = ((a + b) as f64, a.min(b));
    // Terms in logarithms: 2^-n underflows from a thousand throws on.
    let mut term = -n * std::f64::consts::LN_2;
    let mut sum = term.exp();
    for i in 0..few {
        term += ((n - i as f64) / (i as f64 + 1.0)).ln();
        sum += term.exp();
    }
    (2.0 * sum).min(1.0)
}

/// One number over several seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Number of seeds.
    pub seeds: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation; `None` with one seed.
    pub deviation: Option<f64>,
    /// Lowest.
    pub low: f64,
    /// Highest.
    pub high: f64,
}

/// The spread of `values`, one per seed.
///
/// # Errors
/// [`Error::Empty`] without values.
pub fn spread(values: &[f64]) -> Result<Spread> {
    let n = values.len();
    if n == 0 {
        return Err(Error::Empty);
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Ok(Spread {
        seeds: n,
        mean,
        deviation: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()),
        low: values.iter().copied().fold(f64::INFINITY, f64::min),
        high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

/// Whether a difference of two accuracies is more than chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Outside what the choice of images explains, and outside what the choice of seeds explains.
    Gap,
    /// Not so.
    WithinNoise,
    /// Too few seeds to say.
    Undecided {
        /// How many there were.
        seeds: usize,
    },
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap => f.pad("gap"),
            Self::WithinNoise => f.pad("within noise"),
            Self::Undecided { seeds: 1 } => f.pad("undecided (1 seed)"),
            Self::Undecided { seeds } => f.pad(&format!("undecided ({seeds} seeds)")),
        }
    }
}

/// The difference of two classifiers' accuracies, the first one's less the second one's, on the same images and under the same
/// seeds: `pairs[seed]` is what is misclassified for the first and for the second.
///
/// # Errors
/// As [`mcnemar`]; [`Error::Empty`] without seeds.
pub fn gap(pairs: &[(&[bool], &[bool])]) -> Result<Estimate> {
    let replicates = pairs.iter().map(|(first, second)| {
        mcnemar(first, second)?;
        let of = |(first, second): (&bool, &bool)| f64::from(u8::from(!first)) - f64::from(u8::from(!second));
        Ok(Replicate::of(first.iter().zip(*second).map(of).map(Some).collect()))
    });
    paired(&replicates.collect::<Result<Vec<_>>>()?, true)
}

/// What [`gap`] comes to. A gap needs at least [`ENOUGH_SEEDS`] seeds, and an interval that does not reach 0: of seeds and of
/// images both.
pub fn verdict(gap: &Estimate) -> Verdict {
    match gap.seeds {
        seeds if seeds < ENOUGH_SEEDS => Verdict::Undecided { seeds },
        _ if gap.low > 0.0 || gap.high < 0.0 => Verdict::Gap,
        _ => Verdict::WithinNoise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn misclassified(right: usize, n: usize) -> Vec<bool> {
        (0..n).map(|at| at >= right).collect()
    }

    #[test]
    fn the_test_is_the_binomial_distributions() {
        // Sums of exact binomial coefficients.
        for (a, b, p) in
            [(2, 10, 0.038_574_218_75), (5, 5, 1.0), (0, 6, 0.031_25), (0, 0, 1.0), (450, 550, 0.001_730_535)]
        {
            let found = two_sided(a, b);
            assert_abs_diff_eq!(found, p, epsilon = 2e-6 * f64::max(p, 1e-3));
            assert_eq!(found, two_sided(b, a));
        }
    }

    #[test]
    fn discordant_pairs_are_counted() {
        let found = mcnemar(&[true, false, false, false], &[true, true, true, false]).unwrap();
        assert_eq!((found.only_first, found.only_second, found.p), (2, 0, 0.5));
        assert!(matches!(mcnemar(&[true], &[true, false]), Err(Error::Examples { found: 2, .. })));
    }

    #[test]
    fn a_gap_needs_seeds_images_and_distance() {
        let verdict_of = |first: &[usize], second: &[usize]| {
            let results: Vec<_> = first
                .iter()
                .zip(second)
                .map(|(&a, &b)| (misclassified(a, 1000), misclassified(b, 1000)))
                .collect();
            let pairs: Vec<_> = results.iter().map(|(a, b)| (&a[..], &b[..])).collect();
            verdict(&gap(&pairs).unwrap())
        };
        assert_eq!(verdict_of(&[600], &[500]), Verdict::Undecided { seeds: 1 });
        assert_eq!(verdict_of(&[600], &[500]).to_string(), "undecided (1 seed)");
        assert_eq!(verdict_of(&[600, 600], &[500, 500]), Verdict::Undecided { seeds: 2 });
        assert_eq!(verdict_of(&[600, 610, 605], &[500, 520, 510]), Verdict::Gap);
        // Three images are too few; seeds that scatter are noise, the more where directions differ.
        assert_eq!(verdict_of(&[503, 503, 503], &[500, 500, 500]), Verdict::WithinNoise);
        assert_eq!(verdict_of(&[600, 510, 605], &[500, 490, 520]), Verdict::WithinNoise);
        assert_eq!(verdict_of(&[600, 500, 600], &[500, 600, 500]), Verdict::WithinNoise);
    }

    #[test]
    fn the_spread_is_the_samples() {
        let found = spread(&[1.0, 2.0, 4.0]).unwrap();
        assert_eq!((found.seeds, found.low, found.high), (3, 1.0, 4.0));
        assert_abs_diff_eq!(found.deviation.unwrap(), (7.0_f64 / 3.0).sqrt(), epsilon = 1e-12);
        assert_eq!(spread(&[0.5]).unwrap().deviation, None);
    }
}
