//! Why there is no answer; messages say what to change.

use candle_core::DType;
use robin_core::Budget;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a module, its images and an attack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Images of another type.
    #[error(
        "images are {found:?}, attacks take f32 in [0, 1]: `images.to_dtype(DType::F32)? / 255.` makes them from bytes"
    )]
    Type {
        /// Their type.
        found: DType,
    },
    /// Pixels outside the box.
    #[error(
        "pixels lie between {lowest} and {highest}, attacks take [0, 1]: undo the normalisation, and make it the module's first \
         step, so that epsilon is in pixels"
    )]
    Pixels {
        /// The smallest; NaN if some pixel is no number.
        lowest: f32,
        /// The largest.
        highest: f32,
    },
    /// No images.
    #[error("there are no images: nothing can be attacked")]
    Empty,
    /// Labels that do not belong to the images.
    #[error("labels have shape {found:?}, for {images} images they are [{images}], one class each")]
    Labels {
        /// Their shape.
        found: Vec<usize>,
        /// Number of images.
        images: usize,
    },
    /// Targets of another number than images.
    #[error("there are {found} targets for {images} images: give one for each, or one for all")]
    Targets {
        /// Number of targets.
        found: usize,
        /// Number of images.
        images: usize,
    },
    /// An image that is asked to become what it is.
    #[error(
        "image {image} is of class {class}, its own target: leave such images out, or choose another target"
    )]
    OwnTarget {
        /// Position among the images.
        image: usize,
        /// The class.
        class: u32,
    },
    /// Logits of another shape.
    #[error(
        "the module returned {found:?} for {images} images, expected logits [{images}, classes] with 2 classes or more"
    )]
    Logits {
        /// What it returned.
        found: Vec<usize>,
        /// Number of images.
        images: usize,
    },
    /// A setting that the attack does not have.
    #[error("attack {attack} has no setting {setting}: its own are in the documentation of `robin::attacks`")]
    NoSetting {
        /// The attack.
        attack: String,
        /// The setting.
        setting: &'static str,
    },
    /// A bundle that is asked to go somewhere, or to maximise another loss.
    #[error(
        "attack {attack} is a fixed bundle of untargeted attacks: {asked} does not go with it; use `Apgd` instead"
    )]
    Bundle {
        /// The bundle.
        attack: String,
        /// What was asked for.
        asked: &'static str,
    },
    /// Attacks that cannot be joined.
    #[error(
        "attack {attack} works within {found}, the first within {expected}: a union is of one budget, evaluate them apart"
    )]
    Budgets {
        /// The attack.
        attack: String,
        /// Its budget.
        found: Budget,
        /// That of the first.
        expected: Budget,
    },
    /// An attack with targets among those that are joined.
    #[error("attack {attack} has targets: what it leaves is no robust accuracy; run it by `robin::attack`")]
    Targeted {
        /// The attack.
        attack: String,
    },
    /// No attack to evaluate by.
    #[error("no attack was given: accuracy without one is `Found::clean_accuracy` of any attack")]
    NoAttack,
    /// Images that no file of 8 bits has.
    #[error(
        "an audit judges images of 8 bits, and a pixel is {value}, which is no whole number of 255ths: round by \
         `(images * 255.)?.round()? / 255.`, or use `robin::evaluate`, which takes any pixels"
    )]
    NotEightBit {
        /// A pixel, the one farthest away.
        value: f32,
    },
    /// A label beyond what the battery's data sets number.
    #[error("an audit takes labels up to 65535, and one is {label}: use `robin::evaluate`")]
    TooManyClasses {
        /// The label.
        label: u32,
    },
    /// An attack's settings.
    #[error(transparent)]
    Attack(#[from] robin_attacks::Error),
    /// The evaluation.
    #[error(transparent)]
    Evaluation(#[from] robin_evaluation::Error),
    /// The attack, or the module's scores.
    #[error(transparent)]
    Core(#[from] robin_core::Error),
    /// A data set that is none.
    #[error(transparent)]
    Data(#[from] robin_data::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}
