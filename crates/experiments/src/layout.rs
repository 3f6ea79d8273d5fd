//! How an item's numbers are laid out as the paper's table: which of their properties make lines, and which columns.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Written in the item's spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// What tells lines apart, from left to right.
    pub lines: Vec<Field>,
    /// What tells columns apart, from the top down. With [`Field::Strategy`] each strategy has a column of its own,
    /// and the strongest of a line is marked.
    pub columns: Vec<Field>,
    /// A column with the accuracy of the second classifier minus that of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<[String; 2]>,
}

impl Default for Layout {
    /// Table 1's: a line for each data set, model and budget; attacks, and under each the classifiers.
    fn default() -> Self {
        Self {
            lines: vec![Field::Dataset, Field::Model, Field::Norm, Field::Epsilon],
            columns: vec![Field::Attack, Field::Classifier],
            gap: None,
        }
    }
}

/// A property of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The data set.
    Dataset,
    /// The row's architecture.
    Model,
    /// Of the budget.
    Norm,
    /// The row's name in the spec.
    Row,
    /// The budget in training, in pixels in `[0, 1]`.
    TrainEpsilon,
    /// The budget in test, in pixels in `[0, 1]`.
    Epsilon,
    /// The budget in test on the scale that the paper prints.
    PrintedEpsilon,
    /// The classifier's name.
    Classifier,
    /// `clean`, or the attack.
    Attack,
    /// What the attack raises.
    Strategy,
}

impl Field {
    /// Heading of its column.
    pub fn name(self) -> &'static str {
        match self {
            Field::Dataset => "data",
            Field::Model => "model",
            Field::Norm => "norm",
            Field::Row => "row",
            Field::TrainEpsilon => "training budget",
            Field::Epsilon => "test budget",
            Field::PrintedEpsilon => "as printed",
            Field::Classifier => "classifier",
            Field::Attack => "attack",
            Field::Strategy => "strategy",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
