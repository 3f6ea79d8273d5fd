//! What is said of many examples at once.

use serde::{Deserialize, Serialize};

use crate::{Coherence, Example};

/// Most bins of a histogram.
pub const MOST_BINS: usize = 10_000;

/// Coherence over a data set, and what was left out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Examples looked at.
    pub n: usize,
    /// Examples with a cosine: those that everything below is about.
    pub measured: usize,
    /// Examples left out because a gradient is zero.
    pub zero_gradient: usize,
    /// Examples left out because a gradient is not finite.
    pub not_finite: usize,
    /// Mean cosine; `None` where nothing was measured.
    pub mean: Option<f64>,
    /// Median cosine, of an even number the mean of the middle two.
    pub median: Option<f64>,
    /// All cosines.
    pub histogram: Histogram,
    /// Of all examples, by arm or network.
    pub norms: Vec<Sizes>,
}

/// Sizes of one loss's gradients on the images, over those that are finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of `examples`, with `bins` bins of equal width over `[-1, 1]`.
    ///
    /// # Panics
    /// If `bins` is 0.
    pub fn of(examples: &[Example], bins: usize) -> Self {
        let values: Vec<f64> = examples.iter().filter_map(|example| example.coherence.value()).collect();
        let count = |which: fn(&Coherence) -> bool| {
            examples.iter().filter(|example| which(&example.coherence)).count()
        };
        let networks = examples.first().map_or(0, |example| example.norms.len());
        Self {
            n: examples.len(),
            measured: values.len(),
            zero_gradient: count(|coherence| matches!(coherence, Coherence::Zero { .. })),
            not_finite: count(|coherence| matches!(coherence, Coherence::NotFinite { .. })),
            mean: (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64),
            median: median(values.clone()),
            histogram: Histogram::of(&values, [-1.0, 1.0], bins),
            norms: (0..networks).filter_map(|of| Sizes::of(examples, of)).collect(),
        }
    }
}

impl Sizes {
    fn of(examples: &[Example], network: usize) -> Option<Self> {
        let norms = examples.iter().map(|example| example.norms[network]);
        let norms: Vec<f64> = norms.filter(|norm| norm.is_finite()).collect();
        Some(Self {
            min: norms.iter().copied().reduce(f64::min)?,
            max: norms.iter().copied().reduce(f64::max)?,
            median: median(norms)?,
        })
    }
}

/// How many values lie where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// Borders, rising; one more than `counts`.
    pub edges: Vec<f64>,
    /// Values from one border to before the next; in the last bin up to its upper border.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Of `values` within `range`, in `bins` bins of equal width. Values outside are in no bin.
    ///
    /// # Panics
    /// If `bins` is 0 or the range is empty.
    pub fn of(values: &[f64], range: [f64; 2], bins: usize) -> Self {
        let [low, high] = range;
        assert!(bins > 0 && low < high, "{bins} bins over {range:?}");
        let edge = |at: usize| low + (high - low) * at as f64 / bins as f64;
        let edges: Vec<f64> = (0..=bins).map(edge).collect();
        let mut counts = vec![0; bins];
        for value in values.iter().filter(|value| (low..=high).contains(*value)) {
            // By the borders as they are printed, not by a division that may round otherwise.
            let above = edges.partition_point(|edge| edge <= value);
            counts[above.clamp(1, bins) - 1] += 1;
        }
        Self { edges, counts }
    }
}

/// The middle value; of an even number the mean of the middle two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(coherence: Coherence, norms: [f64; 2]) -> Example {
        Example { coherence, norms: norms.to_vec() }
    }

    #[test]
    fn what_was_left_out_is_counted_and_not_averaged() {
        let cosine = |value| Coherence::Cosine { value, of: [0, 1] };
        let examples = [
            example(cosine(0.5), [1.0, 2.0]),
            example(Coherence::Zero { of: 1 }, [3.0, 0.0]),
            example(cosine(-0.25), [5.0, 4.0]),
            example(Coherence::NotFinite { of: 0 }, [f64::NAN, 8.0]),
        ];
        let summary = Summary::of(&examples, 4);
        assert_eq!((summary.n, summary.measured, summary.zero_gradient, summary.not_finite), (4, 2, 1, 1));
        assert_eq!((summary.mean, summary.median), (Some(0.125), Some(0.125)));
        assert_eq!(summary.histogram.counts, [0, 1, 0, 1]);
        assert_eq!(summary.norms[0], Sizes { min: 1.0, median: 3.0, max: 5.0 });
        assert_eq!(summary.norms[1], Sizes { min: 0.0, median: 3.0, max: 8.0 });
        let nothing = Summary::of(&examples[1..2], 4);
        assert_eq!((nothing.mean, nothing.median, nothing.measured), (None, None, 0));
    }

    #[test]
    fn bins_hold_their_lower_border_and_the_last_one_both() {
        let values = [-1.0, -0.5, 0.0, 0.49, 0.5, 1.0, 1.5];
        let histogram = Histogram::of(&values, [-1.0, 1.0], 4);
        assert_eq!(histogram.edges, [-1.0, -0.5, 0.0, 0.5, 1.0]);
        assert_eq!(histogram.counts, [1, 1, 2, 2]);
    }
}
