//! Which scores of an aggregate an attack maximises, one file each, and the list of them.

mod arm_loss;
mod average_gradient;
mod best_arm;
mod config;
mod highest_arm;
mod margin_t;
mod normalised;
mod rank;
mod reweighted;
mod softmax;
mod softmax_top2;
#[cfg(test)]
mod tests;
mod top2;
mod view;

use std::fmt;
use std::str::FromStr;

use robin_attacks::Loss;
use robin_core::{Batch, Error as CoreError, Result as CoreResult, Scores, Strategy};
use serde::{Deserialize, Serialize};

use crate::Error;
pub use config::StrategyConfig;
pub use normalised::Combine;
pub use rank::Rank;

/// A strategy by its name in specs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StrategyName {
    /// See [`Entry::summary`], as for the others.
    Softmax,
    /// `best-arm`.
    BestArm,
    /// `top2`.
    Top2,
    /// `highest-arm`.
    HighestArm,
    /// `average-gradient`.
    AverageGradient,
    /// `softmax-top2`.
    SoftmaxTop2,
    /// `margin-t`.
    MarginT,
    /// `reweighted`.
    Reweighted,
}

/// One strategy of the list.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which one.
    pub name: StrategyName,
    /// One line on what it maximises.
    pub summary: &'static str,
    /// The losses that it can maximise; `None`: any.
    pub losses: Option<&'static [Loss]>,
    /// Whether it ranks arms, so that [`Rank`] means something.
    pub ranks: bool,
    /// Whether it adds arms up, so that [`Combine`] means something.
    pub combines: bool,
}

/// What an arm by itself, or two of them, have: losses that compare more scores have no meaning there.
const OF_ARMS: Option<&[Loss]> = Some(&[Loss::Ce, Loss::Margin]);

/// Every strategy. A plain multiclass classifier is attacked with `softmax`: the loss of its logits.
pub static STRATEGIES: &[Entry] = &[
    Entry {
        name: StrategyName::Softmax,
        summary: "the loss of all scores against the label",
        losses: None,
        ranks: false,
        combines: false,
    },
    Entry {
        name: StrategyName::BestArm,
        summary: "one attack per arm on that arm's own loss; broken if any of them misleads the aggregate",
        losses: OF_ARMS,
        ranks: false,
        combines: false,
    },
    Entry {
        name: StrategyName::Top2,
        summary: "lowers the highest arm and raises the second highest",
        losses: OF_ARMS,
        ranks: true,
        combines: true,
    },
    Entry {
        name: StrategyName::HighestArm,
        summary: "lowers the highest arm",
        losses: OF_ARMS,
        ranks: true,
        combines: false,
    },
    Entry {
        name: StrategyName::AverageGradient,
        summary: "the mean of every arm's own loss",
        losses: OF_ARMS,
        ranks: false,
        combines: true,
    },
    Entry {
        name: StrategyName::SoftmaxTop2,
        summary: "the loss of the two highest arms as a network of two classes",
        losses: OF_ARMS,
        ranks: true,
        combines: false,
    },
    Entry {
        name: StrategyName::MarginT,
        summary: "one attack per wrong class, on its score against the right one's",
        losses: OF_ARMS,
        ranks: false,
        combines: false,
    },
    Entry {
        name: StrategyName::Reweighted,
        summary: "the right arm against its highest rival, at several weights",
        losses: OF_ARMS,
        ranks: false,
        combines: false,
    },
];

impl StrategyName {
    /// The strategy with its usual settings (ranked on the clean image, gradients added as they are).
    ///
    /// # Errors
    /// As [`StrategyConfig::build`].
    pub fn build(self, loss: Loss) -> Result<Box<dyn Strategy>, Error> {
        StrategyConfig::from(self).build(loss)
    }

    /// Its line in the list.
    pub fn entry(self) -> &'static Entry {
        STRATEGIES.iter().find(|entry| entry.name == self).expect("every strategy is listed")
    }

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            StrategyName::Softmax => "softmax",
            StrategyName::BestArm => "best-arm",
            StrategyName::Top2 => "top2",
            StrategyName::HighestArm => "highest-arm",
            StrategyName::AverageGradient => "average-gradient",
            StrategyName::SoftmaxTop2 => "softmax-top2",
            StrategyName::MarginT => "margin-t",
            StrategyName::Reweighted => "reweighted",
        }
    }

    /// All names, for messages.
    pub(crate) fn listed() -> String {
        STRATEGIES.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for StrategyName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = STRATEGIES.iter().map(|entry| entry.name).find(|name| name.as_str() == text);
        known.ok_or_else(|| Error::Strategy { text: text.to_owned() })
    }
}

/// Refuses clean scores that cannot carry a strategy: every one of them needs a right and a wrong column.
fn check(strategy: &'static str, clean: &Scores, batch: &Batch) -> CoreResult<()> {
    if clean.len() != batch.len() || clean.columns() < 2 {
        return Err(CoreError::Shape {
            what: "clean scores",
            found: clean.tensor().dims().to_vec(),
            expected: format!("[{}, k] with k >= 2, for strategy {strategy}", batch.len()),
        });
    }
    let classes = clean.columns();
    clean.to_vec()?; // finite
    match batch.labels.iter().enumerate().find(|(_, label)| **label as usize >= classes) {
        Some((example, &label)) => Err(CoreError::Label { example, label, classes }),
        None => Ok(()),
    }
}
