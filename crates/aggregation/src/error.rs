//! What cannot be aggregated or attacked.

use robin_attacks::Loss;

use crate::hierarchical::{SplitName, strategies::Stages};
use crate::strategies::StrategyName;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with arms and strategies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few classifiers to choose between.
    #[error("an aggregate of arms needs at least 2 arms, got {arms}")]
    TooFewArms {
        /// How many there were.
        arms: usize,
    },
    /// An arm that is no binary classifier.
    #[error("arm {arm} has {outputs} outputs; an arm has 2 (score z1 - z0) or 1 (score z)")]
    ArmOutputs {
        /// Position among the arms.
        arm: usize,
        /// Its number of outputs.
        outputs: usize,
    },
    /// Arms of different kinds, most likely a wrong file among them.
    #[error(
        "arm {arm} has {outputs} outputs, the arms before it have {others}; all arms need the same number"
    )]
    MixedOutputs {
        /// Position of the first arm that differs.
        arm: usize,
        /// Its number of outputs.
        outputs: usize,
        /// The number of the arms before it.
        others: usize,
    },
    /// Text that names no strategy.
    #[error("strategy {text:?} is unknown (one of: {})", StrategyName::listed())]
    Strategy {
        /// What was given.
        text: String,
    },
    /// A setting that no strategy has.
    #[error("strategy {text:?}: {setting:?} is no setting (allowed: current, normalised)")]
    StrategySetting {
        /// What was given.
        text: String,
        /// The part that is not known.
        setting: String,
    },
    /// A strategy with something that makes no sense with it.
    #[error("strategy {strategy} cannot be used with {given} (allowed: {allowed})")]
    Pair {
        /// The strategy.
        strategy: &'static str,
        /// What it was paired with.
        given: String,
        /// What it can be paired with.
        allowed: String,
    },
    /// A strategy that makes no sense against this classifier, or with this attack.
    #[error("strategy {strategy}: {reason}")]
    Unfit {
        /// The strategy.
        strategy: String,
        /// Why, and what is allowed.
        reason: String,
    },
    /// A loss that makes no sense with this attack, or against this classifier.
    #[error("loss {loss}: {reason}")]
    Loss {
        /// The loss.
        loss: Loss,
        /// Why, and what is allowed.
        reason: String,
    },
    /// Settings that the attack refuses.
    #[error(transparent)]
    Attack(#[from] robin_attacks::Error),
    /// A number of networks that no number of classes has pairs for.
    #[error("one-vs-one needs k (k - 1) / 2 networks (1 for 2 classes, 3 for 3, 45 for 10), got {networks}")]
    Pairs {
        /// How many there were.
        networks: usize,
    },
    /// Networks that do not share one set of classes.
    #[error(
        "networks have {outputs:?} outputs; an ensemble takes networks with the same number, 2 or more, \
         a shared trunk exactly one network"
    )]
    Members {
        /// Outputs of each network.
        outputs: Vec<usize>,
    },
    /// Networks that do not fit a split.
    #[error("the networks (coarse, then one per group) have {found:?} outputs, the split needs {expected:?}")]
    Stages {
        /// Outputs of each network.
        found: Vec<usize>,
        /// What the split needs.
        expected: Vec<usize>,
    },
    /// Groups that are no split.
    #[error("groups {groups:?} are no split: two or more, none empty, every class from 0 on in exactly one")]
    Groups {
        /// What was given.
        groups: Vec<Vec<u32>>,
    },
    /// Text that names no split.
    #[error("split {text:?} is unknown (one of: {})", listed(SplitName::ALL))]
    Split {
        /// What was given.
        text: String,
    },
    /// Text that names no attack on stages.
    #[error("strategy {text:?} on a hierarchical classifier is unknown (one of: {})", listed(Stages::ALL))]
    StageStrategy {
        /// What was given.
        text: String,
    },
    /// Text that names no aggregate.
    #[error("aggregate {text:?} is unknown (one of: {valid})")]
    Aggregation {
        /// What was given.
        text: String,
        /// All names.
        valid: String,
    },
    /// A device that failed while networks were joined on it.
    #[error(transparent)]
    Device(#[from] robin_core::Error),
    /// A decision asked of scores that do not carry it.
    #[error(
        "this aggregate votes or routes: its decision cannot be read off its scores, only predicted from images"
    )]
    Decision,
}

fn listed(names: &[impl ToString]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
