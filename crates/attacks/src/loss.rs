//! The two losses that every base attack can raise.

use std::fmt;
use std::str::FromStr;

use robin_core::Objective;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::objectives::{CrossEntropy, Margin};

/// Which function of the scores an attack raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Cross-entropy.
    Ce,
    /// The largest wrong score minus the right one; keeps its gradient where cross-entropy saturates.
    Margin,
}

impl Loss {
    /// This loss over all score columns against `labels` `[n]`.
    pub fn against(self, labels: Vec<u32>) -> Box<dyn Objective> {
        match self {
            Loss::Ce => Box::new(CrossEntropy::new(labels)),
            Loss::Margin => Box::new(Margin::new(labels)),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Loss::Ce => "ce",
            Loss::Margin => "margin",
        })
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "ce" => Ok(Loss::Ce),
            "margin" => Ok(Loss::Margin),
            _ => Err(Error::Loss { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_an_unknown_one_lists_the_valid() {
        for loss in [Loss::Ce, Loss::Margin] {
            assert_eq!(loss.to_string().parse::<Loss>().unwrap(), loss);
        }
        let message = "cw".parse::<Loss>().unwrap_err().to_string();
        assert!(message.contains("\"cw\"") && message.contains("ce, margin"), "{message}");
    }
}
