//! One error type for the vocabulary; messages carry the offending values and say what is allowed.

use crate::Norm;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between an attack and a classifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that is no perturbation radius.
    #[error("epsilon {text:?} is no radius: {reason} (write `8/255` or `0.5`)")]
    Epsilon {
        /// What was given.
        text: String,
        /// What is wrong with it, and what was probably meant.
        reason: String,
    },
    /// Text that names no norm.
    #[error("norm {text:?} is unknown (one of: l2, linf)")]
    Norm {
        /// What was given.
        text: String,
    },
    /// A tensor of the wrong shape.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that would have been right, in words.
        expected: String,
    },
    /// NaN or infinity where a number is needed.
    #[error("{what} of example {example} is not finite ({value})")]
    NotFinite {
        /// Which quantity.
        what: &'static str,
        /// Position in the batch.
        example: usize,
        /// The value found.
        value: f32,
    },
    /// A pixel outside `[0, 1]`.
    #[error("example {example}: pixel {pixel} is {value}, outside [0, 1]")]
    OutsideBox {
        /// Position in the batch.
        example: usize,
        /// Position in the flattened image.
        pixel: usize,
        /// Its value.
        value: f32,
    },
    /// A perturbation larger than its budget.
    #[error("example {example}: {norm} size {size} exceeds epsilon {epsilon}")]
    OverBudget {
        /// Position in the batch.
        example: usize,
        /// The budget's norm.
        norm: Norm,
        /// The perturbation's size.
        size: f64,
        /// The budget's radius.
        epsilon: f64,
    },
    /// A label that no class has.
    #[error("example {example}: label {label} is not below the number of classes {classes}")]
    Label {
        /// Position in the batch.
        example: usize,
        /// The label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A column that the classifier does not have.
    #[error("score column {column} was asked for, the classifier has {classes}")]
    Column {
        /// The column.
        column: usize,
        /// How many there are.
        classes: usize,
    },
    /// A loss that compares more scores than there are.
    #[error("loss {loss} needs at least {least} classes, there are {classes}")]
    TooFewClasses {
        /// The loss's name.
        loss: &'static str,
        /// How many classes it needs.
        least: usize,
        /// How many there are.
        classes: usize,
    },
    /// Two things that do not go together.
    #[error("{what} does not go with {with}; {allowed}")]
    Unsuited {
        /// What was asked for.
        what: String,
        /// What it was to be used with.
        with: String,
        /// What would have been right, in words.
        allowed: &'static str,
    },
    /// Some operation in the model has no backward pass.
    #[error(
        "the gradient does not reach the images: an operation inside the model cuts the graph \
         (candle's softmax_last_dim, rms_norm and LayerNorm do)"
    )]
    GraphCut,
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// A classifier failed in its own way.
    #[error("classifier failed")]
    Classifier(#[source] Box<dyn std::error::Error + Send + Sync>),
}
