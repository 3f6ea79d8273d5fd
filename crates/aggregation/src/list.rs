//! The list of aggregates; contract tests loop over it.

use std::fmt;
use std::str::FromStr;

use robin_core::Classifier;
use serde::{Deserialize, Serialize};

use crate::about::{About, Networks};
use crate::{
    Error, Result, ensemble, hierarchical, merge_binary, mixture, one_vs_all, one_vs_one, shared_trunk,
};

/// One aggregate of the list.
#[derive(Debug, Clone, Copy)]
pub struct AggregationEntry {
    /// Its name as it is written.
    pub name: &'static str,
    /// Which one.
    pub aggregation: Aggregation,
    /// What it is.
    pub about: About,
}

/// Each aggregate by its name, with what its own file says of it.
macro_rules! aggregates {
    ($($name:literal $variant:ident $about:path,)+) => {
        /// A way to make one classifier of several networks. Written `one-vs-all`, `hierarchical:animals-objects`...
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Aggregation {
            $(
                #[doc = concat!("`", $name, "`: see its [`About::summary`].")]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        /// Every aggregate.
        pub static AGGREGATIONS: &[AggregationEntry] = &[
            $(AggregationEntry { name: $name, aggregation: Aggregation::$variant, about: $about },)+
        ];
    };
}

aggregates! {
    "one-vs-all" OneVsAll one_vs_all::ABOUT,
    "one-vs-one" OneVsOne one_vs_one::ABOUT,
    "hierarchical:animals-objects" AnimalsObjects hierarchical::ANIMALS_OBJECTS,
    "hierarchical:first5-last5" First5Last5 hierarchical::FIRST5_LAST5,
    "ensemble" Ensemble ensemble::ABOUT,
    "mixture" Mixture mixture::ABOUT,
    "shared-trunk" SharedTrunk shared_trunk::ABOUT,
    "merge-binary" MergeBinary merge_binary::ABOUT,
}

impl Aggregation {
    fn entry(self) -> &'static AggregationEntry {
        AGGREGATIONS.iter().find(|entry| entry.aggregation == self).expect("every aggregate is listed")
    }

    /// What it is.
    pub fn about(self) -> &'static About {
        &self.entry().about
    }

    /// Whether any number of networks will do, all with all classes.
    pub fn takes_members(self) -> bool {
        self.about().networks == Networks::Members
    }

    /// Number of outputs of each network that an aggregate of `classes` classes is made of, in order; `None` for one that takes
    /// any number of them. `arm_outputs` is 1 or 2.
    pub fn outputs(self, classes: usize, arm_outputs: usize) -> Option<Vec<usize>> {
        self.about().networks.outputs(classes, arm_outputs)
    }

    /// The classifier made of `networks`, in the order that the list says.
    ///
    /// # Errors
    /// If their number or their outputs do not fit.
    pub fn build(self, networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
        (self.about().build)(networks)
    }

    /// All names, for messages.
    fn listed() -> String {
        AGGREGATIONS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.entry().name)
    }
}

impl FromStr for Aggregation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = AGGREGATIONS.iter().find(|entry| entry.name == text);
        let unknown = || Error::Aggregation { text: text.to_owned(), valid: Self::listed() };
        known.map(|entry| entry.aggregation).ok_or_else(unknown)
    }
}
