//! What may be said about a training; what is not said comes from the recipe.

use std::fmt;
use std::str::FromStr;

use robin_aggregation::Aggregation;
use robin_attacks::StepSize;
use robin_core::{Epsilon, Norm};
use robin_data::{Choice, Flip, Padding, Sampling, Source, Split};
use robin_training::{AttackMode, Proportion, Schedule};

use crate::spec::{ClassifierKind, Normalize};
use crate::{Device, Error, Result};

/// Which networks are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainedKind {
    /// Those of a classifier: one with all classes, or an aggregate's.
    Classifier {
        /// How they become one classifier.
        kind: ClassifierKind,
        /// How many an ensemble has.
        members: Option<usize>,
    },
    /// `MODEL[count]` of the paper's section 3: all classes but some are one, `OTHER`.
    Merged {
        /// Classes that the network tells apart.
        count: usize,
        /// Number of the class order, drawn from the root seed.
        order: usize,
    },
}

impl TrainedKind {
    /// One network with all classes.
    pub const MULTICLASS: Self = Self::of(ClassifierKind::Single);
    /// One for each class, against all others.
    pub const ONE_VS_ALL: Self = Self::of(ClassifierKind::Aggregate(Aggregation::OneVsAll));

    /// The networks of a classifier that is no ensemble.
    pub const fn of(kind: ClassifierKind) -> Self {
        Self::Classifier { kind, members: None }
    }
}

impl fmt::Display for TrainedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classifier { kind, members: None } => write!(f, "{kind}"),
            Self::Classifier { kind, members: Some(members) } => write!(f, "{kind}:{members}"),
            Self::Merged { count, order } => write!(f, "other:{count}:{order}"),
        }
    }
}

/// A training as it is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The images.
    pub dataset: Choice,
    /// Where the published data sets are.
    pub source: Source,
    /// Which half is trained on.
    pub split: Split,
    /// Only the first so many images, or so many drawn at random; `None` = all.
    pub train_images: Option<usize>,
    /// Draw them at random by this seed, in the order of the draw; `None` = the first ones.
    pub sample: Option<u64>,
    /// How many classes there are; `None` = as the data set says, or its labels.
    pub classes: Option<usize>,
    /// Architecture.
    pub model: String,
    /// Channels of its first convolution; `None` = its own.
    pub width: Option<usize>,
    /// Which networks.
    pub classifier: TrainedKind,
    /// Only these arms; `None` = all.
    pub arms: Option<Vec<u32>>,
    /// Where settings come from that are not said.
    pub recipe: RecipeName,
    /// Settings that are.
    pub overrides: Overrides,
    /// Root seed.
    pub seed: u64,
    /// What does the arithmetic.
    pub device: Device,
}

/// Settings in place of the recipe's; names as on the command line.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "each is the field of the same name in robin_training::Config or Method")]
pub struct Overrides {
    pub method: Option<MethodName>,
    pub norm: Option<Norm>,
    pub epsilon: Option<Epsilon>,
    pub steps: Option<usize>,
    pub step_size: Option<StepSize>,
    pub lambda: Option<f64>,
    pub proportion: Option<Proportion>,
    pub attack_mode: Option<AttackMode>,
    pub epochs: Option<usize>,
    pub batch_size: Option<usize>,
    pub learning_rate: Option<f64>,
    pub momentum: Option<f64>,
    pub weight_decay: Option<f64>,
    pub schedule: Option<Schedule>,
    pub sampling: Option<Sampling>,
    pub crop_padding: Option<usize>,
    pub padding: Option<Padding>,
    pub flip: Option<Flip>,
    /// What the first layer does; `Some(None)` = nothing.
    pub normalize: Option<Option<Normalize>>,
    pub label_smoothing: Option<f64>,
    /// Decay of the average; 0 = no average.
    pub weight_averaging: Option<f64>,
    /// Images held out; 0 = none.
    pub validation: Option<usize>,
    /// Training images on which the trained network is measured.
    pub measured_images: Option<usize>,
}

/// A method by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodName {
    /// Clean images.
    Standard,
    /// Adversarial training (Madry et al. 2018).
    PgdAt,
    /// Zhang et al. 2019.
    Trades,
    /// Wang et al. 2020.
    Mart,
}

/// Where settings come from that are not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipeName {
    /// The paper's.
    Paper,
    /// The paper's with momentum, of which it states none.
    Momentum,
    /// Not the paper's: what is good on CIFAR-10 after minutes.
    Fast,
    /// The same with training attacks of one step.
    SingleStep,
    /// The paper's with what the field has found to help since: every example perturbed from the first epoch,
    /// reflected padding and flips for photographs, linf steps of 2/255, the best epoch chosen on held-out images.
    Strong,
}

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(Error::Unknown {
                        what: $what,
                        given: text.to_owned(),
                        valid: [$($name),+].join(", "),
                    }),
                }
            }
        }
    };
}

names!(MethodName, "method", Standard => "standard", PgdAt => "pgd-at", Trades => "trades", Mart => "mart");
names!(RecipeName, "recipe", Paper => "paper", Momentum => "momentum", Fast => "fast", SingleStep => "single-step",
    Strong => "strong");

impl RecipeName {
    /// Whether it is for photographs: CIFAR-10's, or those of one's own.
    pub(super) fn for_photographs(self) -> bool {
        matches!(self, Self::Fast | Self::SingleStep)
    }

    /// The reading of the recipes in the specs that this is, if it is another than theirs. What is added since builds on momentum.
    pub(super) fn reading(self) -> Option<&'static str> {
        match self {
            Self::Paper => None,
            Self::Momentum | Self::Strong => Some("momentum"),
            Self::Fast => Some("fast"),
            Self::SingleStep => Some("single-step"),
        }
    }
}
