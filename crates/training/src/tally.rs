//! What an epoch's predictions come to.

use serde::{Deserialize, Serialize};

/// Counts of labels and predictions, and of the perturbed examples among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    classes: usize,
    /// `[label * classes + prediction]`.
    counts: Vec<u64>,
    perturbed: u64,
    perturbed_correct: u64,
}

impl Tally {
    /// Nothing counted, for `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes], perturbed: 0, perturbed_correct: 0 }
    }

    /// Whether this counts the same classes as `other`, and has a count for each pair of them.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        self.classes == other.classes && self.counts.len() == other.counts.len()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Counts examples. `labels` and `predictions` are below the number of classes, and as many.
    pub(crate) fn add(&mut self, labels: &[u32], predictions: &[u32]) {
        for (&label, &prediction) in labels.iter().zip(predictions) {
            self.counts[label as usize * self.classes + prediction as usize] += 1;
        }
    }

    /// Counts a perturbed example, which [`Tally::add`] has counted already.
    pub(crate) fn add_perturbed(&mut self, label: u32, prediction: u32) {
        self.perturbed += 1;
        self.perturbed_correct += u64::from(label == prediction);
    }

    /// Counts what `other` has counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
        self.perturbed += other.perturbed;
        self.perturbed_correct += other.perturbed_correct;
    }

    /// Share of all examples that were classified correctly.
    pub fn accuracy(&self) -> f64 {
        let correct: u64 = (0..self.classes).map(|class| self.counts[class * self.classes + class]).sum();
        correct as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// The same of the perturbed ones; none if there were none.
    pub fn perturbed_accuracy(&self) -> Option<f64> {
        (self.perturbed > 0).then(|| self.perturbed_correct as f64 / self.perturbed as f64)
    }

    /// Mean over the classes that occurred of the share of their examples that was classified correctly.
    pub fn balanced_accuracy(&self) -> f64 {
        let rows = self.counts.chunks_exact(self.classes).enumerate();
        let (mut sum, mut seen) = (0.0, 0);
        for (label, row) in rows {
            let total: u64 = row.iter().sum();
            if total > 0 {
                (sum, seen) = (sum + row[label] as f64 / total as f64, seen + 1);
            }
        }
        sum / f64::from(seen)
    }

    /// The class of all predictions, if there were any and they were the same.
    pub fn only_class(&self) -> Option<usize> {
        let total: u64 = self.counts.iter().sum();
        let of = |class: usize| -> u64 { self.counts.iter().skip(class).step_by(self.classes).sum() };
        (0..self.classes).find(|&class| total > 0 && of(class) == total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let mut tally = Tally::new(3);
        tally.add(&[0, 0, 0, 0, 2], &[0, 0, 1, 0, 0]);
        tally.add_perturbed(2, 0);
        assert_eq!((tally.accuracy(), tally.balanced_accuracy()), (0.6, 0.375));
        assert_eq!((tally.perturbed_accuracy(), tally.only_class()), (Some(0.0), None));
        let mut whole = Tally::new(3);
        whole.add(&[1, 2], &[1, 1]);
        assert_eq!((whole.only_class(), whole.perturbed_accuracy()), (Some(1), None));
        whole.merge(&tally);
        assert_eq!((whole.accuracy(), whole.perturbed_accuracy()), (4.0 / 7.0, Some(0.0)));
        assert_eq!(Tally::new(2).only_class(), None);
    }
}
