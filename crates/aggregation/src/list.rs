//! The list of aggregates; contract tests loop over it.

use std::fmt;
use std::str::FromStr;

use robin_core::Classifier;
use serde::{Deserialize, Serialize};

use crate::hierarchical::{SplitName, hierarchical};
use crate::{
    Error, OneVsAll, Result, ensemble::ensemble, merge_binary::merge_binary, one_vs_one::one_vs_one,
    shared_trunk::shared_trunk,
};

/// A way to make one classifier of several networks. Written `one-vs-all`, `hierarchical:animals-objects`...
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Aggregation {
    /// See the list, as for the others.
    OneVsAll,
    /// `one-vs-one`.
    OneVsOne,
    /// `hierarchical:SPLIT`.
    Hierarchical(SplitName),
    /// `ensemble`.
    Ensemble,
    /// `shared-trunk`.
    SharedTrunk,
    /// `merge-binary`.
    MergeBinary,
}

/// One aggregate of the list.
#[derive(Debug, Clone, Copy)]
pub struct AggregationEntry {
    /// Which one.
    pub aggregation: Aggregation,
    /// One line on what it is and which networks it takes.
    pub summary: &'static str,
}

/// Every aggregate.
pub static AGGREGATIONS: &[AggregationEntry] = &[
    AggregationEntry {
        aggregation: Aggregation::OneVsAll,
        summary: "ROBIN: an arm per class in class order, the highest log-odds win",
    },
    AggregationEntry {
        aggregation: Aggregation::OneVsOne,
        summary: "a network per pair of classes, (0,1), (0,2)...; most votes win",
    },
    AggregationEntry {
        aggregation: Aggregation::Hierarchical(SplitName::AnimalsObjects),
        summary: "a coarse network, then a fine one for animals and one for objects; routed",
    },
    AggregationEntry {
        aggregation: Aggregation::Hierarchical(SplitName::First5Last5),
        summary: "a coarse network, then a fine one for classes 0-4 and one for 5-9; routed",
    },
    AggregationEntry {
        aggregation: Aggregation::Ensemble,
        summary: "networks for the same classes, the mean of their logits decides",
    },
    AggregationEntry {
        aggregation: Aggregation::SharedTrunk,
        summary: "one network with a head of one output per class",
    },
    AggregationEntry {
        aggregation: Aggregation::MergeBinary,
        summary: "negative control: one-vs-all behind 5 sigmoid(5 s)",
    },
];

impl Aggregation {
    /// Number of outputs of each network that an aggregate of `classes` classes is made of, in order; `None`
    /// for an ensemble, which takes any number of networks of `classes` outputs. `arm_outputs` is 1 or 2.
    pub fn outputs(self, classes: usize, arm_outputs: usize) -> Option<Vec<usize>> {
        Some(match self {
            Self::OneVsAll | Self::MergeBinary => vec![arm_outputs; classes],
            Self::OneVsOne => vec![arm_outputs; classes * classes.saturating_sub(1) / 2],
            Self::Hierarchical(name) => {
                let split = name.split();
                let groups = split.groups();
                std::iter::once(groups.len()).chain(groups.iter().map(Vec::len)).collect()
            }
            Self::Ensemble => return None,
            Self::SharedTrunk => vec![classes],
        })
    }

    /// The classifier made of `networks`, in the order that the list says.
    ///
    /// # Errors
    /// If their number or their outputs do not fit.
    pub fn build(self, networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
        match self {
            Self::OneVsAll => Ok(Box::new(OneVsAll::new(networks)?)),
            Self::OneVsOne => one_vs_one(networks),
            Self::Hierarchical(name) => hierarchical(name.split(), networks),
            Self::Ensemble => ensemble(networks),
            Self::SharedTrunk => shared_trunk(networks),
            Self::MergeBinary => merge_binary(networks),
        }
    }

    /// All names, for messages.
    pub(crate) fn listed() -> String {
        AGGREGATIONS.iter().map(|entry| entry.aggregation.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneVsAll => f.pad("one-vs-all"),
            Self::OneVsOne => f.pad("one-vs-one"),
            Self::Hierarchical(split) => f.pad(&format!("hierarchical:{split}")),
            Self::Ensemble => f.pad("ensemble"),
            Self::SharedTrunk => f.pad("shared-trunk"),
            Self::MergeBinary => f.pad("merge-binary"),
        }
    }
}

impl FromStr for Aggregation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = AGGREGATIONS.iter().map(|entry| entry.aggregation).find(|a| a.to_string() == text);
        known.ok_or_else(|| Error::Aggregation { text: text.to_owned() })
    }
}

impl TryFrom<String> for Aggregation {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Aggregation> for String {
    fn from(aggregation: Aggregation) -> Self {
        aggregation.to_string()
    }
}
