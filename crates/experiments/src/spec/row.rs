//! A row of an item: what is trained and at which budgets it is asked.

use std::collections::BTreeMap;

use robin_core::{Budget, Epsilon, Norm};
use robin_data::DatasetName;
use serde::{Deserialize, Serialize};

use crate::Profile;

/// What is trained, with what budget, how it is tested, and what the paper found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What `--rows` looks at, where the usual `dataset/model/norm` is not enough.
    #[serde(default)]
    pub name: Option<String>,
    /// The data.
    pub dataset: DatasetName,
    /// The architecture.
    pub model: String,
    /// How perturbations are measured, in training and test.
    pub norm: Norm,
    /// Their largest size in training.
    pub epsilon: Epsilon,
    /// Their largest sizes in test; the training budget if absent.
    #[serde(default)]
    pub test: Option<Vec<Epsilon>>,
    /// What the paper prints in place of `epsilon` and of each of `test`, where its scale is another.
    #[serde(default)]
    pub printed: Option<PrintedBudgets>,
    /// One of [`super::Spec::recipes`].
    pub recipe: String,
    /// Only in these profiles; in all if absent.
    #[serde(default)]
    pub profiles: Option<Vec<Profile>>,
    /// The paper has not got it.
    #[serde(default)]
    pub beyond: bool,
    /// Profiles in which it is run only where it is named, or everything is asked for: what would teach a newcomer nothing.
    #[serde(default)]
    pub later: Vec<Profile>,
    /// The published row that this one stands in for, with other data.
    #[serde(default)]
    pub stand_in: Option<String>,
    /// Printed accuracy by classifier and column: one number, or one for each of `test`.
    #[serde(default)]
    pub published: BTreeMap<String, BTreeMap<String, Printed>>,
    /// Printed accuracy by classifier, column and strategy, one for each of `test`.
    #[serde(default)]
    pub published_strategies: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<f64>>>>,
    /// Printed counts of what the item's two strategies break.
    #[serde(default)]
    pub published_overlap: Option<PrintedOverlap>,
    /// Printed mean coherence of ROBIN's arms.
    #[serde(default)]
    pub published_coherence: Option<f64>,
}

/// Examples that two strategies break, clean errors included, as the paper prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedOverlap {
    /// Examples.
    pub n: usize,
    /// Misclassified by each.
    #[serde(rename = "broken")]
    pub misclassified: [usize; 2],
    /// Misclassified by both.
    pub both: usize,
}

/// Budgets in the paper's own scale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrintedBudgets {
    /// In place of the training budget.
    pub epsilon: String,
    /// In place of each test budget.
    pub test: Vec<String>,
}

/// What the paper prints in one column.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Printed {
    /// For the only test budget, or for clean images.
    One(f64),
    /// For each test budget; `"-"` where the paper prints nothing.
    Each(Vec<PrintedNumber>),
}

/// A number that the paper prints, or `"-"`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub struct PrintedNumber(Option<f64>);

impl TryFrom<toml::Value> for PrintedNumber {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Float(number) => Ok(Self(Some(number))),
            toml::Value::String(text) if text == "-" => Ok(Self(None)),
            other => Err(format!("{other} is neither an accuracy nor \"-\"")),
        }
    }
}

impl Printed {
    /// The number for test budget `test`.
    pub fn at(&self, test: usize) -> Option<f64> {
        match self {
            Self::One(value) => Some(*value),
            Self::Each(values) => values.get(test).and_then(|value| value.0),
        }
    }

    /// All numbers, `None` where there is none.
    pub fn values(&self) -> Vec<Option<f64>> {
        match self {
            Self::One(value) => vec![Some(*value)],
            Self::Each(values) => values.iter().map(|value| value.0).collect(),
        }
    }
}

impl Row {
    /// `dataset/model/norm`, or its own name: what `--rows` looks at.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("{}/{}/{}", self.dataset, self.model, self.norm))
    }

    /// The budget in training.
    pub fn budget(&self) -> Budget {
        Budget { norm: self.norm, epsilon: self.epsilon }
    }

    /// The budgets in test.
    pub fn tests(&self) -> Vec<Epsilon> {
        self.test.clone().unwrap_or_else(|| vec![self.epsilon])
    }
}
