//! What a request comes to: every setting resolved, every cell with its key, before the first epoch.

mod cells;
mod check;
mod chosen;
mod networks;
mod resolve;
pub(crate) mod settings;
mod studies;
pub mod study;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use robin_aggregation::StrategyChoice;
use robin_core::{Budget, Epsilon, Seed};
use robin_data::{Dataset, LabelMap};
use robin_nn::{Graph, Parameters};
use serde::Serialize;
use serde_json::Value;

pub(crate) use networks::{MOST_ORDERS, Part, class_count, parts};
pub(crate) use settings::{NetworkIdentity, check_normalize, network_settings};
use study::{PlannedStudy, StudyWork};

use crate::key::Key;
use crate::record::Kind;
use crate::spec::{
    AttackSpec, ClassifierKind, ClassifierSpec, Column, FigureSpec, Layout, Normalize, Row, Spec, StageSpec,
    TransferAim,
};
use crate::{Device, Profile, Result};

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How much is done.
    pub profile: Profile,
    /// Keep only rows whose label contains one of these, separated by commas.
    pub rows: Option<String>,
    /// Also rows, classifiers and columns that the paper has not got.
    pub beyond: bool,
    /// How recipes are read, one of [`Spec::readings`]; `None` = as the profile does.
    pub reading: Option<String>,
    /// Root seeds in place of the profile's.
    pub seeds: Option<Vec<u64>>,
    /// Attacks by name, each on only its first so many test images: fewer than the profile has.
    pub attack_images: BTreeMap<String, usize>,
    /// What does the arithmetic.
    pub device: Device,
    /// Folder of the full data sets; `None` = [`robin_data::default_dir`].
    pub data_dir: Option<PathBuf>,
}

/// Everything that the items asked for need, each piece of work once.
#[derive(Debug)]
pub struct Plan {
    /// How much is done.
    pub profile: Profile,
    /// What does the arithmetic.
    pub device: Device,
    /// What is asked for.
    pub items: Vec<PlannedItem>,
    /// The work, in an order in which it can be done: what a cell needs stands before it.
    pub cells: Vec<Cell>,
}

impl Plan {
    /// Resolves `specs`. An item none of whose rows passes the filter is left out.
    ///
    /// # Errors
    /// Every mistake that can be found without training: unknown names, settings that contradict each other,
    /// data that is not there, attacks that cannot be built.
    pub fn new(specs: &[Spec], request: &Request) -> Result<Self> {
        cells::plan(specs, request)
    }
}

/// An item, and where its numbers are.
#[derive(Debug)]
pub struct PlannedItem {
    /// Its name.
    pub item: String,
    /// Its heading.
    pub title: String,
    /// How its table is laid out.
    pub layout: Layout,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// Rows that passed the filter.
    pub rows: Vec<PlannedRow>,
    /// What is compared.
    pub classifiers: Vec<ClassifierSpec>,
    /// How it is measured.
    pub columns: Vec<Column>,
    /// Which cell (of [`Plan::cells`]) has which number.
    pub places: Vec<(Place, usize)>,
    /// What is drawn.
    pub figures: Vec<FigureSpec>,
    /// Classifiers whose difference is judged.
    pub compare: Vec<[String; 2]>,
    /// Strategies whose broken examples are compared.
    pub overlaps: Vec<[StrategyChoice; 2]>,
    /// What is measured beyond tables.
    pub study: Option<PlannedStudy>,
    /// Said below the table.
    pub notes: Vec<String>,
    /// Said as well where anything beyond the paper is shown.
    pub beyond_notes: Vec<String>,
    /// Which attacks the profile made cheaper: their names, and in words how.
    pub shrunk_attacks: Vec<(String, String)>,
}

/// A row, and what the profile made of it.
#[derive(Debug, Clone)]
pub struct PlannedRow {
    /// As written.
    pub row: Row,
    /// As run.
    pub ran: Ran,
    /// As run, by classifier; `None` for one that this row has not.
    pub classifiers: Vec<Option<Ran>>,
    /// In words, what the profile shrank; empty if nothing.
    pub shrunk: Vec<String>,
    /// Whether it is neither shown nor missed until it has a number: what is beyond the paper, and what a profile leaves for later.
    pub waits: bool,
}

/// What a row was run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Architecture.
    pub model: String,
    /// Channels of its first convolution.
    pub width: usize,
    /// Training images.
    pub train_images: usize,
    /// Test images.
    pub test_images: usize,
    /// Passes over the training images.
    pub epochs: usize,
}

/// One trained network or one evaluation.
#[derive(Debug)]
pub struct Cell {
    /// Short, for people.
    pub label: String,
    /// The first item that asked for it.
    pub item: String,
    /// Hash of the settings.
    pub key: Key,
    /// Everything that decides the results, as JSON: a plan of a cluster has many cells, and a tree of values takes several
    /// times the room.
    pub(crate) settings: Box<str>,
    /// Positions in [`Plan::cells`] of what must be there first.
    pub needs: Vec<usize>,
    /// What is to be done.
    pub work: Work,
}

impl Cell {
    /// Everything that decides the results.
    pub fn settings(&self) -> Value {
        serde_json::from_str(&self.settings).expect("the plan wrote it as JSON")
    }

    /// Network or evaluation.
    pub fn kind(&self) -> Kind {
        match self.work {
            Work::Network(_) => Kind::Network,
            Work::Evaluation(_) | Work::Study(_) => Kind::Evaluation,
        }
    }
}

/// What a cell does.
#[derive(Debug)]
pub enum Work {
    /// Train.
    Network(Box<NetworkWork>),
    /// Evaluate.
    Evaluation(Box<EvaluationWork>),
    /// Measure what a figure shows and no table does.
    Study(Box<StudyWork>),
}

/// A network to be trained.
#[derive(Debug)]
pub struct NetworkWork {
    /// The architecture.
    pub graph: Graph,
    /// What its first layer does to the images; `None` = nothing.
    pub normalize: Option<Normalize>,
    /// Training images.
    pub data: Dataset,
    /// What it tells apart.
    pub labels: LabelMap,
    /// All training settings.
    pub config: robin_training::Config,
    /// Of initialisation, batches and training attacks.
    pub seed: Seed,
    /// The first training images, for the accuracy on the training set.
    pub measured: Dataset,
    /// The attack on them, with the training budget; `None` for a network that is trained without attacks, which is the
    /// same network whatever budgets others are trained for.
    pub attack: Option<(AttackSpec, Budget)>,
}

impl NetworkWork {
    /// The network's parameters before training.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::initialise(&self.graph, self.seed);
        if let Some(normalize) = &self.normalize {
            normalize.fill(&mut parameters);
        }
        parameters
    }
}

/// A classifier to be evaluated.
#[derive(Debug)]
pub struct EvaluationWork {
    /// How its networks, the first ones that the cell needs, become one classifier.
    pub kind: ClassifierKind,
    /// How many they are.
    pub networks: usize,
    /// Test images.
    pub data: Dataset,
    /// `None` = clean accuracy.
    pub attack: Option<PlannedAttack>,
    /// Of random starts.
    pub seed: Seed,
}

/// An attack with everything that it needs.
#[derive(Debug, Clone)]
pub struct PlannedAttack {
    /// Base attack and loss.
    pub spec: AttackSpec,
    /// Further ones, each on the examples that those before have left standing.
    pub then: Vec<StageSpec>,
    /// How far.
    pub budget: Budget,
    /// What it is aimed at.
    pub at: AttackedAt,
}

/// What an attack is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttackedAt {
    /// The classifier itself, by a strategy.
    Itself(StrategyChoice),
    /// Another one, made of the other networks that the cell needs.
    Surrogate {
        /// How they become a classifier.
        kind: ClassifierKind,
        /// Where it is led.
        aim: TransferAim,
    },
}

/// A result's place in its item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// In [`PlannedItem::rows`].
    pub row: usize,
    /// In [`PlannedItem::classifiers`].
    pub classifier: usize,
    /// In [`PlannedItem::columns`].
    pub column: usize,
    /// Test budget; `None` when clean.
    pub test: Option<Epsilon>,
    /// Root seed.
    pub seed: u64,
    /// `None` when clean or transferred.
    pub strategy: Option<StrategyChoice>,
}
