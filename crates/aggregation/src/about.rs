//! What is known of an aggregate.

use robin_core::Classifier;

use crate::{Result, SplitName};

/// An aggregate, apart from its name. Each has its own file.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// One line on what it is and which networks it takes.
    pub summary: &'static str,
    /// What it is made of.
    pub networks: Networks,
    /// Whether single networks speak for single classes, so that strategies against arms mean something.
    pub arms: bool,
    /// Whether each of its scores is the log-odds of one question, so that it has a calibration of its own.
    pub log_odds: bool,
    /// Joins them, in the order that the summary says.
    pub(crate) build: Build,
}

/// Makes one classifier of several.
pub(crate) type Build = fn(Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>>;

/// The networks that an aggregate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// One for each class, against all others.
    Arms,
    /// One for each pair of classes: (0, 1), (0, 2), ...
    Pairs,
    /// One that tells groups apart, then one for each group.
    Stages(SplitName),
    /// Any number of networks with all classes.
    Members,
    /// One network with an output for each class's question.
    Trunk,
}

impl Networks {
    /// Number of outputs of each, in order, of an aggregate of `classes` classes; `None` where any number of networks of
    /// `classes` outputs will do. `arm_outputs` is 1 or 2.
    pub fn outputs(self, classes: usize, arm_outputs: usize) -> Option<Vec<usize>> {
        Some(match self {
            Self::Arms => vec![arm_outputs; classes],
            Self::Pairs => vec![arm_outputs; classes * classes.saturating_sub(1) / 2],
            Self::Stages(name) => {
                let split = name.split();
                let groups = split.groups();
                std::iter::once(groups.len()).chain(groups.iter().map(Vec::len)).collect()
            }
            Self::Members => return None,
            Self::Trunk => vec![classes],
        })
    }
}
