//! Cells of figures that are more than a table's numbers drawn, and the figures made of their records.
//!
//! Reading order: [`one_class`] (section 3's task), [`distances`], [`coherence`], [`toy`], then [`mod@figures`].

mod class_counts;
pub mod coherence;
pub mod distances;
pub mod figures;
pub mod one_class;
pub mod toy;

use robin_core::Epsilon;
use robin_nn::Graph;
use serde_json::Value;

use crate::Result;
use crate::alignment::Compared;
use crate::plan::NetworkWork;
use crate::run::Context;
use crate::spec::StudySpec;

pub use figures::figures;

/// What a cell of a study does.
#[derive(Debug)]
pub enum StudyWork {
    /// Section 3's task, clean or attacked.
    OneClass(one_class::OneClassWork),
    /// Distances to the border.
    Distances(distances::DistancesWork),
    /// Agreement of gradients.
    Coherence(coherence::CoherenceWork),
    /// Points in the plane, training included.
    Toy(Box<toy::ToyWork>),
}

impl StudyWork {
    /// Does it with `networks`: how each was to be trained, and its weights.
    pub(crate) fn run(&self, networks: &[(&NetworkWork, Vec<u8>)], context: &Context<'_>) -> Result<Value> {
        let _span = tracing::info_span!("study", cell = context.watched.label).entered();
        match self {
            Self::OneClass(work) => work.run(first(networks), context),
            Self::Distances(work) => work.run(first(networks), context),
            Self::Coherence(work) => work.run(networks, context),
            Self::Toy(work) => work.run(context),
        }
    }
}

fn first<'a>(networks: &'a [(&NetworkWork, Vec<u8>)]) -> (&'a Graph, &'a [u8]) {
    let (work, weights) = networks.first().expect("the plan gives this cell one network");
    (&work.graph, weights)
}

/// A study of an item, and where its results are.
#[derive(Debug, Clone)]
pub struct PlannedStudy {
    /// As the profile has it.
    pub spec: StudySpec,
    /// In words, what the profile left out.
    pub shrunk: Vec<String>,
    /// Which cell (of [`crate::Plan::cells`]) has which result.
    pub places: Vec<(StudyPlace, usize)>,
}

/// A result's place in its study.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudyPlace {
    /// In [`crate::plan::PlannedItem::rows`]; 0 for the toy, which has none.
    pub row: usize,
    /// Root seed.
    pub seed: u64,
    /// What was measured.
    pub part: StudyPart,
}

/// What a cell of a study measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StudyPart {
    /// `MODEL[count]` under class order number `order`.
    OneClass {
        /// j.
        count: usize,
        /// Number of the order.
        order: usize,
        /// Whether it was trained by the study's second recipe.
        standard: bool,
        /// Test budget; 0 when clean.
        test: Epsilon,
    },
    /// The same network's distances.
    Distances {
        /// j.
        count: usize,
        /// Number of the order.
        order: usize,
    },
    /// Whose coherence.
    Coherence(Compared),
    /// All panels.
    Toy,
}
