//! What every measurement begins with: who is asked, by what rule, about which examples.

use robin_core::{Classifier, Seed, SuccessCriterion};
use robin_data::Dataset;

/// What is evaluated, and by what rule: a classifier on some examples, where a criterion says what is misclassified.
///
/// The measurements are its methods, each in its own file: [`Evaluation::clean`], [`Evaluation::robust`],
/// [`Evaluation::distances`] and [`Evaluation::transferred`]; [`crate::Ledger`] keeps the runs of several attacks.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// The classifier.
    pub model: &'a dyn Classifier,
    /// Says of a decision and a label whether the example is misclassified.
    pub criterion: &'a dyn SuccessCriterion,
    /// The examples, with their true classes.
    pub data: &'a Dataset,
    /// Of everything that attacks draw at random, addressed by example; without an attack nothing is drawn.
    pub seed: Seed,
}
