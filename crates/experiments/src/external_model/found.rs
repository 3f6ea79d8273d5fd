//! What an attack did to every image, and all numbers of its summary, which are counted from that alone.

use robin_evaluation::{CostTotals, Ledger};
use serde::Serialize;

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// Its place in the data set.
    pub id: u32,
    /// Its class.
    pub label: u32,
    /// What the classifier says to it.
    pub clean_prediction: u32,
    /// What it says to the perturbed image; of an image that was not attacked, to the clean one.
    pub adversarial_prediction: u32,
    /// Size of the perturbation, whether it succeeded or not; 0 of an image that was not attacked, and of one for which
    /// an attack that looks for the smallest perturbation found none within the budget.
    pub size: f32,
    /// Whether it was attacked. Without a target: whether it was right. With one: whether it is neither of that class
    /// nor taken for it anyway.
    pub attacked: bool,
    /// Whether it is right, and still is after the attack, if there was any.
    pub robust: bool,
    /// With a target, of an image that was attacked: whether it is taken for the target now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit: Option<bool>,
    /// Of a bundle: the stage that broke it, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<usize>,
    /// Networks run forward for it.
    pub forward: u64,
    /// Networks run backward.
    pub backward: u64,
    /// Input gradients taken.
    pub gradients: u64,
    /// How many of them were exactly zero.
    pub zero_gradients: u64,
}

/// How an attack that wants one class fared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TargetReport {
    /// The class.
    pub target: u32,
    /// Share of the images below that are taken for it after the attack; `None` if there are none.
    pub target_success: Option<f64>,
    /// Images that are neither of the class nor taken for it anyway: those that were attacked.
    pub target_n: usize,
    /// Images left out because they are of the class.
    pub excluded_of_target_class: usize,
    /// Images of other classes left out because they are taken for it without any attack.
    pub excluded_already_predicted: usize,
}

/// Images of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OfClass {
    /// The class.
    pub class: u32,
    /// Its images.
    pub n: usize,
    /// How many of them are right without an attack.
    pub right: usize,
    /// How many are right, and still are after it.
    pub robust: usize,
}

/// A summary of examples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    pub(super) clean_accuracy: f64,
    pub(super) robust_accuracy: Option<f64>,
    pub(super) robust_n: usize,
    pub(super) target: Option<TargetReport>,
    pub(super) classes: Vec<OfClass>,
    pub(super) cost: CostTotals,
}

impl Counted {
    pub(super) fn of(examples: &[Example], target: Option<u32>, classes: usize) -> Self {
        let attackable: Vec<bool> =
            examples.iter().filter(|e| target != Some(e.label)).map(|e| e.robust).collect();
        let rows = examples.iter().map(|e| (e.label, e.clean_prediction == e.label, e.robust));
        let mut cost = CostTotals::default();
        for e in examples {
            cost.add(&CostTotals {
                attacked: u64::from(e.attacked),
                forward: e.forward,
                backward: e.backward,
                gradients: e.gradients,
                zero_gradients: e.zero_gradients,
            });
        }
        Self {
            clean_accuracy: share(examples.iter().map(|e| e.clean_prediction == e.label)),
            robust_accuracy: (!attackable.is_empty()).then(|| share(attackable.iter().copied())),
            robust_n: attackable.len(),
            target: target.map(|target| TargetReport::of(examples, target)),
            classes: OfClass::count(rows, classes),
            cost,
        }
    }
}

impl TargetReport {
    fn of(examples: &[Example], target: u32) -> Self {
        let of_class = examples.iter().filter(|e| e.label == target).count();
        let already = examples.iter().filter(|e| e.label != target && e.clean_prediction == target).count();
        let hits: Vec<bool> = examples.iter().filter_map(|e| e.hit).collect();
        Self {
            target,
            target_success: (!hits.is_empty()).then(|| share(hits.iter().copied())),
            target_n: hits.len(),
            excluded_of_target_class: of_class,
            excluded_already_predicted: already,
        }
    }
}

impl OfClass {
    /// Counts `(label, right, robust)` of every image, for `classes` classes; those without images are among them.
    pub(super) fn count(rows: impl Iterator<Item = (u32, bool, bool)>, classes: usize) -> Vec<Self> {
        let none = |class| Self { class: class as u32, n: 0, right: 0, robust: 0 };
        let mut counts: Vec<Self> = (0..classes).map(none).collect();
        for (label, right, robust) in rows {
            if let Some(own) = counts.get_mut(label as usize) {
                own.n += 1;
                own.right += usize::from(right);
                own.robust += usize::from(robust);
            }
        }
        counts
    }

    /// What to say if there are classes without images.
    pub fn missing(counts: &[Self]) -> Option<String> {
        let missing: Vec<String> =
            counts.iter().filter(|own| own.n == 0).map(|own| own.class.to_string()).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "no image is of class {}: the numbers say nothing about {}",
                missing.join(", "),
                if missing.len() == 1 { "it" } else { "them" }
            )
        })
    }
}

/// Every example as the last run of `ledger` has left it. With a `target` those that the ledger calls misclassified when clean
/// were left out of the attack for their class or their prediction, and hits are misclassified.
pub(super) fn examples(ledger: &Ledger, target: Option<u32>, bundle: bool) -> Vec<Example> {
    // Every stage carries on what the ones before have found.
    let outcome = &ledger.runs.last().expect("an attack has at least one stage").outcome;
    let example = |at: usize| {
        let (label, clean) = (ledger.labels[at], ledger.clean.predictions[at]);
        let (attacked, prediction) = (!ledger.clean.misclassified[at], outcome.predictions[at]);
        let sum = |counts: fn(&robin_evaluation::Run) -> &Vec<u32>| {
            ledger.runs.iter().map(|run| u64::from(counts(run)[at])).sum()
        };
        let breaks = |run: &robin_evaluation::Run| run.attacked[at] && run.outcome.misclassified[at];
        Example {
            id: at as u32,
            label,
            clean_prediction: clean,
            adversarial_prediction: prediction,
            size: outcome.sizes[at],
            attacked,
            robust: clean == label && prediction == label,
            hit: target.filter(|_| attacked).map(|_| outcome.misclassified[at]),
            stage: ledger.runs.iter().position(breaks).filter(|_| bundle),
            forward: sum(|run| &run.forward),
            backward: sum(|run| &run.backward),
            gradients: sum(|run| &run.gradients),
            zero_gradients: sum(|run| &run.zero_gradients),
        }
    };
    (0..ledger.len()).map(example).collect()
}

fn share(which: impl ExactSizeIterator<Item = bool>) -> f64 {
    let n = which.len();
    which.filter(|is| *is).count() as f64 / n as f64
}
