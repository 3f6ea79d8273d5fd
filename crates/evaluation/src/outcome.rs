//! What an attack did to every example.

use robin_core::Cost;
use serde::{Deserialize, Serialize};

use crate::statistics::{Interval, accuracy, interval};
use crate::{Error, Result, compact};

/// One attack on one classifier, over a whole data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robust {
    /// By the best that the attack found: what the tables show.
    pub worst: Outcome,
    /// By its final point.
    pub last: Outcome,
    /// Work spent, over all examples.
    pub cost: CostTotals,
}

impl Robust {
    /// Adds a further attack on the examples that this one has failed on: `next` took what was misclassified here as wrong
    /// when clean.
    pub fn join(&mut self, next: &Robust) {
        let correct: Vec<bool> =
            self.worst.misclassified.iter().map(|misclassified| !misclassified).collect();
        for (mine, other) in [(&mut self.worst, &next.worst), (&mut self.last, &next.last)] {
            for example in (0..correct.len()).filter(|&example| correct[example]) {
                mine.misclassified[example] = other.misclassified[example];
                mine.predictions[example] = other.predictions[example];
                mine.sizes[example] = other.sizes[example];
            }
        }
        self.cost.add(&next.cost);
    }
}

/// Verdicts per example, in the data set's order. An example misclassified clean counts, with its clean
/// prediction and size 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Parts")]
pub struct Outcome {
    /// Whether the judge called it misclassified, `[n]`.
    #[serde(rename = "broken", with = "compact::bits")]
    pub misclassified: Vec<bool>,
    /// The classifier's decision on the perturbed image, `[n]`.
    #[serde(with = "compact::classes")]
    pub predictions: Vec<u32>,
    /// Size of the perturbation in the budget's norm, in pixels, `[n]`.
    #[serde(with = "compact::sizes")]
    pub sizes: Vec<f32>,
}

/// What is read, before its lengths are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(rename = "broken", with = "compact::bits")]
    misclassified: Vec<bool>,
    #[serde(with = "compact::classes")]
    predictions: Vec<u32>,
    #[serde(with = "compact::sizes")]
    sizes: Vec<f32>,
}

impl TryFrom<Parts> for Outcome {
    type Error = Error;

    fn try_from(Parts { misclassified, predictions, sizes }: Parts) -> Result<Self> {
        let expected = misclassified.len();
        for (what, found) in [("predictions", predictions.len()), ("sizes", sizes.len())] {
            if found != expected {
                return Err(Error::Examples { what, found, expected });
            }
        }
        Ok(Self { misclassified, predictions, sizes })
    }
}

impl Outcome {
    /// Robust accuracy: the share of examples that are not misclassified.
    pub fn accuracy(&self) -> f64 {
        accuracy(&self.misclassified)
    }

    /// Wilson's 95% interval of the accuracy.
    pub fn interval(&self) -> Interval {
        interval(&self.misclassified)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.misclassified.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.misclassified.is_empty()
    }
}

/// Work spent, in networks run (an aggregate of ten counts ten).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostTotals {
    /// Examples attacked: those not misclassified clean.
    pub attacked: u64,
    /// Forward passes, that of the clean scores included.
    pub forward: u64,
    /// Backward passes.
    pub backward: u64,
    /// Input gradients taken, one per example and step however many networks were behind it.
    pub gradients: u64,
    /// How many of them were exactly zero.
    pub zero_gradients: u64,
}

impl CostTotals {
    /// Share of input gradients that were exactly zero; 0 where none was taken. Above about 0.01 the accuracy
    /// is more likely the attack's failure than the classifier's robustness.
    pub fn zero_gradient_share(&self) -> f64 {
        if self.gradients == 0 { 0.0 } else { self.zero_gradients as f64 / self.gradients as f64 }
    }

    /// One example's: its clean scores took `clean_forward` networks, each input gradient `per_gradient`.
    pub fn of(cost: &Cost, clean_forward: u32, per_gradient: u32) -> Self {
        Self {
            attacked: 1,
            forward: u64::from(cost.forward) + u64::from(clean_forward),
            backward: u64::from(cost.backward),
            gradients: u64::from(cost.backward / per_gradient.max(1)),
            zero_gradients: u64::from(cost.zero_gradients),
        }
    }

    /// Adds what others cost.
    pub fn add(&mut self, other: &Self) {
        self.attacked += other.attacked;
        self.forward += other.forward;
        self.backward += other.backward;
        self.gradients += other.gradients;
        self.zero_gradients += other.zero_gradients;
    }
}
