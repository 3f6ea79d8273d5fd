//! Cells of figures that are more than a table's numbers drawn, and the figures made of their records.
//!
//! Reading order: [`one_class`] (section 3's task), [`distances`], [`coherence`], [`toy`], then [`mod@figures`].

mod class_counts;
pub mod coherence;
pub mod distances;
mod drawing;
pub mod figures;
pub mod one_class;
pub mod toy;

use robin_nn::Graph;
use serde_json::Value;

use crate::Result;
use crate::plan::NetworkWork;
use crate::run::Context;

pub use crate::plan::study::{PlannedStudy, StudyPart, StudyPlace, StudyWork};
pub use figures::figures;

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
