//! Studies as they are planned: what each cell does, and where its result belongs. How it is done stands in
//! [`crate::study`].

use robin_attacks::Loss;
use robin_core::{Budget, Epsilon, Norm, Seed};
use robin_data::Dataset;

use crate::alignment::Compared;
use crate::spec::{AttackSpec, Normalize, StudySpec, ToySpec};

/// What a cell of a study does.
#[derive(Debug)]
pub enum StudyWork {
    /// Section 3's task, clean or attacked.
    OneClass(OneClassWork),
    /// Distances to the border.
    Distances(DistancesWork),
    /// Agreement of gradients.
    Coherence(CoherenceWork),
    /// Points in the plane, training included.
    Toy(Box<ToyWork>),
}

/// The class that is asked for: the first one of the class order, as [`robin_data::LabelMap::Other`] numbers it.
pub const CLASS: u32 = 0;

/// A `MODEL[j]` asked whether images are of class [`CLASS`].
#[derive(Debug)]
pub struct OneClassWork {
    /// Test images with the network's labels.
    pub data: Dataset,
    /// The attack; `None` = clean.
    pub attack: Option<(AttackSpec, Budget)>,
    /// Of random starts.
    pub seed: Seed,
}

/// How far is each image from another answer?
#[derive(Debug)]
pub struct DistancesWork {
    /// Test images with the network's labels.
    pub data: Dataset,
    /// Each looks for the smallest perturbation.
    pub attacks: Vec<robin_attacks::Config>,
    /// What they raise.
    pub loss: Loss,
    /// How distance is measured.
    pub norm: Norm,
    /// Of what attacks draw.
    pub seed: Seed,
}

/// Do the networks' gradients agree?
#[derive(Debug)]
pub struct CoherenceWork {
    /// Whose.
    pub compared: Compared,
    /// Test images.
    pub data: Dataset,
    /// Bins of the histogram.
    pub bins: usize,
}

/// Everything that decides the drawing.
#[derive(Debug)]
pub struct ToyWork {
    /// Points, networks and attack.
    pub spec: ToySpec,
    /// Of both networks.
    pub config: robin_training::Config,
    /// What their first layer does.
    pub normalize: Option<Normalize>,
    /// The attack that [`ToySpec::attack`] names.
    pub attack: AttackSpec,
    /// Of points, weights, training and attack.
    pub seed: Seed,
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
