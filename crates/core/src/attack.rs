//! Attacks, strategies and judges: the two axes of every evaluation, and who decides.

use candle_core::Tensor;

use crate::{Batch, Budget, CancelToken, Classifier, Objective, Result, Scores, Seed};

/// Who is attacked, who decides whether an example is misclassified, and who may stop the work.
pub struct Target<'a> {
    /// The classifier as a whole, also when an objective looks at one arm only.
    pub model: &'a dyn Classifier,
    /// Decides success.
    pub criterion: &'a dyn SuccessCriterion,
    /// Looked at between steps.
    pub cancel: &'a CancelToken,
}

impl Target<'_> {
    /// Predictions of the whole classifier and the judge's verdicts, for `images` with `labels`.
    ///
    /// # Errors
    /// As the classifier's.
    pub fn verdicts(&self, images: &Tensor, labels: &[u32]) -> Result<Vec<Verdict>> {
        Ok(self
            .model
            .predict(images)?
            .into_iter()
            .zip(labels)
            .map(|(prediction, &label)| Verdict {
                prediction,
                misclassified: self.criterion.misclassified(prediction, label),
            })
            .collect())
    }
}

/// The judge's word on one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The classifier's decision.
    pub prediction: u32,
    /// Whether this counts as misclassified.
    pub misclassified: bool,
}

/// Decides from the decision of the whole classifier whether an example is misclassified.
pub trait SuccessCriterion: Send + Sync {
    /// Whether `prediction` for an example of class `label` counts as misclassified.
    fn misclassified(&self, prediction: u32, label: u32) -> bool;
}

/// Misclassified is what is not predicted as its label: the untargeted judge of every table.
#[derive(Debug, Clone, Copy)]
pub struct Misclassified;

impl SuccessCriterion for Misclassified {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        prediction != label
    }
}

/// Section 3's judge, for classifiers of many classes that are asked one question: is this of class `class`? Misclassified is
/// what gets the wrong answer; confusions among the other classes are no errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneClass {
    /// The class that is asked for.
    pub class: u32,
}

impl SuccessCriterion for OneClass {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        (prediction == self.class) != (label == self.class)
    }
}

/// Turns an aggregate's clean scores and the labels into objectives. Several objectives are joined per
/// example: misclassified by one of them is enough.
pub trait Strategy: Send + Sync {
    /// Objectives for this batch; `clean` holds all columns.
    ///
    /// # Errors
    /// If the scores cannot carry this strategy, or are not finite.
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>>;
}

/// Moves images within a budget so that objectives rise.
pub trait Attack: Send + Sync {
    /// The budget that every returned image keeps.
    fn budget(&self) -> Budget;

    /// Perturbs `batch`, whose examples are all classified correctly when clean.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`] when stopped; otherwise as the classifier's and objectives'.
    fn perturb(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
    ) -> Result<Adversarial>;
}

/// What an attack found.
#[derive(Debug, Clone)]
pub struct Adversarial {
    /// The best of all that was tried: what the tables show.
    pub worst: Iterate,
    /// The final point only, as many published implementations return it.
    pub last: Iterate,
    /// Work spent, `[n]`.
    pub cost: Vec<Cost>,
}

/// One image per example, with the judge's word on it.
#[derive(Debug, Clone)]
pub struct Iterate {
    /// `[n, c, h, w]`.
    pub images: Tensor,
    /// `[n]`.
    pub verdicts: Vec<Verdict>,
}

/// Work spent on one example, in networks run (an aggregate of ten counts ten).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Forward passes.
    pub forward: u32,
    /// Backward passes.
    pub backward: u32,
    /// Steps on which the gradient was exactly zero: no step was made. Many of them mean masking.
    pub zero_gradients: u32,
}
