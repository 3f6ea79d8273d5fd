//! Which scores of an aggregate an attack raises, one file each, and the list of them.

mod arm_loss;
mod best_arm;
mod softmax;
#[cfg(test)]
mod tests;
mod top2;

use std::fmt;
use std::str::FromStr;

use robin_attacks::Loss;
use robin_core::{Batch, Error as CoreError, Result as CoreResult, Scores, Strategy};
use serde::{Deserialize, Serialize};

use crate::Error;

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
}

/// One strategy of the list.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Which one.
    pub name: StrategyName,
    /// One line on what it raises.
    pub summary: &'static str,
}

/// Every strategy. A plain multiclass classifier is attacked with `softmax`: the loss of its logits.
pub static STRATEGIES: &[Entry] = &[
    Entry { name: StrategyName::Softmax, summary: "the loss of all scores against the label" },
    Entry {
        name: StrategyName::BestArm,
        summary: "one attack per arm on that arm's own loss; broken if any of them misleads the aggregate",
    },
    Entry {
        name: StrategyName::Top2,
        summary: "lowers the highest arm of the clean image and raises the second highest",
    },
];

impl StrategyName {
    /// The strategy that raises `loss`: with `margin`, an arm's binary cross-entropy becomes its signed score.
    pub fn build(self, loss: Loss) -> Box<dyn Strategy> {
        match self {
            StrategyName::Softmax => Box::new(softmax::Softmax { loss }),
            StrategyName::BestArm => Box::new(best_arm::BestArm { loss }),
            StrategyName::Top2 => Box::new(top2::Top2 { loss }),
        }
    }

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            StrategyName::Softmax => "softmax",
            StrategyName::BestArm => "best-arm",
            StrategyName::Top2 => "top2",
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
