//! What cannot be aggregated or attacked.

use crate::strategies::StrategyName;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be wrong with arms and strategies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few classifiers to choose between.
    #[error("one-vs-all needs at least 2 arms, got {arms}")]
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
}
