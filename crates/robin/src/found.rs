//! What an attack found.

use candle_core::Tensor;
use robin_attacks::Loss as Listed;
use robin_core::Budget;
use robin_evaluation::{Blind, CostTotals, Interval, accuracy, blind, interval};

/// What an attack found, in the order of the images that it was given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Found {
    /// `[n, c, h, w]`, within the budget, on the device of the clean ones. The clean image where nothing was to be done.
    pub images: Tensor,
    /// Within which they lie.
    pub budget: Budget,
    /// The module's class of each clean image, `[n]`.
    pub clean_predictions: Vec<u32>,
    /// Whether it is misclassified without any attack: not its label, or with targets its target already, `[n]`.
    pub clean_misclassified: Vec<bool>,
    /// The module's class of each image in `images`, `[n]`.
    pub predictions: Vec<u32>,
    /// Whether it is not the label, or with targets is the target, `[n]`.
    pub misclassified: Vec<bool>,
    /// Size of the perturbation in the budget's norm, in pixels, `[n]`.
    pub sizes: Vec<f64>,
    /// Passes and gradients that it took, of all images.
    pub cost: CostTotals,
    /// Share of input gradients that were exactly zero, where the attack made no step; `None` if it takes none.
    pub zero_gradient_share: Option<f64>,
    /// Said where that is 5% or more: the attack was blind, and what it left standing is not robust by its word.
    pub warning: Option<Blind>,
}

impl Found {
    /// Share of images that are not misclassified: robust accuracy, by this attack.
    pub fn accuracy(&self) -> f64 {
        accuracy(&self.misclassified)
    }

    /// Wilson's 95% interval of [`Found::accuracy`].
    pub fn interval(&self) -> Interval {
        interval(&self.misclassified)
    }

    /// Share of images that are not misclassified without an attack.
    pub fn clean_accuracy(&self) -> f64 {
        accuracy(&self.clean_misclassified)
    }

    /// Writes down what the attack has cost, maximising `loss` (`None`: a closure).
    pub(crate) fn settle(&mut self, cost: CostTotals, loss: Option<Listed>) {
        self.cost = cost;
        self.zero_gradient_share = (cost.gradients > 0).then(|| cost.zero_gradient_share());
        // A closure may vanish anywhere, as cross-entropy may: the advice is the same.
        self.warning = blind(&cost, loss.unwrap_or(Listed::Ce));
    }
}
