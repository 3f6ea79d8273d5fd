//! What an attack raises, as it is written: a strategy, or stages of a hierarchical classifier.

use std::fmt;
use std::str::FromStr;

use robin_aggregation::{Aggregation, Stages, StrategyConfig};
use robin_attacks::Loss;
use robin_core::Strategy;
use serde::{Deserialize, Serialize};

use super::ClassifierKind;

/// Written `softmax`, `top2+current`, `stage-1-2`...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StrategySpec {
    /// Of the list of strategies.
    Scores(StrategyConfig),
    /// Of a hierarchical classifier's own.
    Stages(Stages),
}

impl StrategySpec {
    /// The strategy against a classifier of `kind`.
    ///
    /// # Errors
    /// In words, what does not go together.
    pub fn build(self, loss: Loss, kind: ClassifierKind) -> Result<Box<dyn Strategy>, String> {
        match (self, kind) {
            (Self::Scores(strategy), _) => strategy.build(loss).map_err(|error| error.to_string()),
            (Self::Stages(stages), ClassifierKind::Aggregate(Aggregation::Hierarchical(split))) => {
                Ok(stages.build(loss, &split.split()))
            }
            (Self::Stages(stages), _) => {
                Err(format!("{stages} attacks the stages of a hierarchical classifier, not {kind}"))
            }
        }
    }
}

impl fmt::Display for StrategySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(strategy) => f.pad(&strategy.to_string()),
            Self::Stages(stages) => f.pad(stages.as_str()),
        }
    }
}

impl FromStr for StrategySpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(stages) = text.parse() {
            return Ok(Self::Stages(stages));
        }
        text.parse().map(Self::Scores).map_err(|error: robin_aggregation::Error| error.to_string())
    }
}

impl TryFrom<String> for StrategySpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StrategySpec> for String {
    fn from(strategy: StrategySpec) -> Self {
        strategy.to_string()
    }
}
