//! Studies as they are planned: where the result of each cell belongs. What is drawn of them stands in [`crate::study`].

use robin_core::Epsilon;

use crate::alignment::Compared;
use crate::spec::StudySpec;

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
