//! How networks become a classifier, as it is written.

use std::fmt;
use std::str::FromStr;

use robin_aggregation::Aggregation;
use serde::{Deserialize, Serialize};

/// Written `single`, `one-vs-all`, `hierarchical:animals-objects`...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassifierKind {
    /// One network with all classes.
    Single,
    /// Several networks as one.
    Aggregate(Aggregation),
}

impl ClassifierKind {
    /// The aggregate that it is, if it is one.
    pub fn aggregate(self) -> Option<Aggregation> {
        match self {
            Self::Single => None,
            Self::Aggregate(aggregation) => Some(aggregation),
        }
    }
}

impl fmt::Display for ClassifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single => f.pad("single"),
            Self::Aggregate(aggregation) => f.pad(&aggregation.to_string()),
        }
    }
}

impl FromStr for ClassifierKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "single" => Ok(Self::Single),
            _ => text
                .parse()
                .map(Self::Aggregate)
                .map_err(|error: robin_aggregation::Error| format!("{error}, or single")),
        }
    }
}

impl TryFrom<String> for ClassifierKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClassifierKind> for String {
    fn from(kind: ClassifierKind) -> Self {
        kind.to_string()
    }
}
