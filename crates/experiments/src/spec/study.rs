//! Figures that are more than a table's numbers drawn: what is measured, as it is written.

use std::collections::BTreeMap;

use robin_core::Epsilon;
use serde::{Deserialize, Serialize};

use crate::Profile;

/// What a figure measures. Rows, recipes, attacks and profiles are written as a table's are.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StudySpec {
    /// `MODEL[j]` of section 3 at the row's test budgets: is this of the order's first class?
    ClassCount {
        /// j: classes that a network tells apart, rising.
        counts: Vec<usize>,
        /// Random orders of the classes.
        orders: usize,
        /// Whether networks that put classes together have balanced batches, as the recipe has for arms.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        balanced: bool,
        /// Name of the attack. At budget 0 nothing is attacked.
        attack: String,
        /// For a row's recipe another one, by name, whose networks are measured clean.
        #[serde(default)]
        standard: BTreeMap<String, String>,
        /// What lies on the horizontal axis.
        over: Axis,
        /// What profile smoke does less of.
        #[serde(default)]
        smoke: StudyShrink,
        /// What profile quick does less of.
        #[serde(default)]
        quick: StudyShrink,
        /// What profile night does less of.
        #[serde(default)]
        night: StudyShrink,
    },
    /// Distances of test images to the border that counts in section 3, for `MODEL[j]`.
    Distances {
        /// As above.
        counts: Vec<usize>,
        /// As above; their images are pooled.
        orders: usize,
        /// As above.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        balanced: bool,
        /// Names of attacks that look for the smallest perturbation; the smallest of all counts.
        attacks: Vec<String>,
        /// Bins of the histogram.
        bins: usize,
        /// What profile smoke does less of.
        #[serde(default)]
        smoke: StudyShrink,
        /// What profile quick does less of.
        #[serde(default)]
        quick: StudyShrink,
        /// What profile night does less of.
        #[serde(default)]
        night: StudyShrink,
    },
    /// Coherence of one-vs-all's arms against that of an ensemble.
    Coherence {
        /// Networks of the ensemble.
        members: usize,
        /// Bins of the histogram over `[-1, 1]`.
        bins: usize,
    },
    /// Points in the plane.
    Toy(ToySpec),
}

/// What a line runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Test budgets; a line for each number of classes.
    Budget,
    /// Numbers of classes; robust accuracy on the left, the clean accuracy of standard training on the right.
    Classes,
}

/// Small networks on points in the unit square (the paper's Figure 2).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ToySpec {
    /// Names of the classes; the first one is what the binary classifier looks for.
    pub classes: Vec<String>,
    /// Where the points lie.
    pub clusters: Vec<Cluster>,
    /// Training points of each cluster.
    pub train_points: usize,
    /// Further points of each cluster, which are attacked and shown.
    pub shown_points: usize,
    /// Units of each hidden layer.
    pub width: usize,
    /// Name of the recipe.
    pub recipe: String,
    /// l2 budget in training.
    pub epsilon: Epsilon,
    /// Name of the attack that draws the arrows: to the nearest point on the other side that it finds.
    pub attack: String,
    /// Cells along each side of the drawn square.
    pub grid: usize,
}

/// Gaussian points, rounded to the 256 levels of a pixel and kept in the square.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Number of its class.
    pub class: usize,
    /// Centre, in `[0, 1]`.
    pub center: [f64; 2],
    /// Standard deviation along both axes.
    pub deviation: f64,
}

/// What a profile does less of, or otherwise.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StudyShrink {
    /// Some of the numbers of classes.
    #[serde(default)]
    pub counts: Option<Vec<usize>>,
    /// Fewer class orders.
    #[serde(default)]
    pub orders: Option<usize>,
    /// Balanced batches where the study has others.
    #[serde(default)]
    pub balanced: bool,
}

/// Most orders of the classes in one study, each with a network of its own.
const MOST_ORDERS: usize = 1_000;

impl StudySpec {
    /// Numbers that no study can have; those of its networks are refused with them.
    fn check(&self) -> Result<(), String> {
        let check = |name: &str, value: usize, most: usize| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(format!("{name} is {value}, allowed: 1 to {most}")),
        };
        match self {
            Self::ClassCount { orders, .. } => check("orders", *orders, MOST_ORDERS),
            Self::Distances { orders, bins, .. } => {
                check("orders", *orders, MOST_ORDERS)?;
                check("bins", *bins, robin_coherence::MOST_BINS)
            }
            Self::Coherence { bins, .. } => check("bins", *bins, robin_coherence::MOST_BINS),
            Self::Toy(_) => Ok(()),
        }
    }

    /// What `profile` does of it, and in words what it leaves out.
    ///
    /// # Errors
    /// In words, what does not shrink, or no study can have.
    pub(crate) fn shrunk(&self, profile: Profile) -> Result<(Self, Vec<String>), String> {
        self.check()?;
        let mut study = self.clone();
        let (counts, orders, balanced, shrink) = match &mut study {
            Self::ClassCount { counts, orders, balanced, smoke, quick, night, .. }
            | Self::Distances { counts, orders, balanced, smoke, quick, night, .. } => {
                let shrink = match profile {
                    Profile::Smoke => smoke.clone(),
                    Profile::Quick => quick.clone(),
                    Profile::Night => night.clone(),
                    Profile::Paper => StudyShrink::default(),
                };
                (counts, orders, balanced, shrink)
            }
            Self::Coherence { .. } | Self::Toy(_) => return Ok((study, Vec::new())),
        };
        let mut said = Vec::new();
        if let Some(fewer) = shrink.counts {
            if fewer.is_empty() || !fewer.iter().all(|count| counts.contains(count)) {
                return Err(format!("counts {fewer:?} are not some of {counts:?}"));
            }
            if fewer.len() < counts.len() {
                said.push(format!("numbers of classes {fewer:?} (paper: {counts:?})"));
            }
            *counts = fewer;
        }
        if let Some(fewer) = shrink.orders {
            if fewer == 0 || fewer > *orders {
                return Err(format!("orders {fewer} does not shrink {orders}"));
            }
            if fewer < *orders {
                said.push(format!("class orders {fewer} (paper: {orders})"));
            }
            *orders = fewer;
        }
        if shrink.balanced && !*balanced {
            said.push(
                "networks that put classes together have balanced batches, as the recipe has for arms (paper: not said)"
                    .to_owned(),
            );
            *balanced = true;
        }
        Ok((study, said))
    }
}
