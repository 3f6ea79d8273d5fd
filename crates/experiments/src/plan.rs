//! What a request comes to: every setting resolved, every cell with its key, before the first epoch.

mod cells;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use robin_aggregation::StrategyName;
use robin_core::{Budget, Seed};
use robin_data::{Dataset, LabelMap};
use robin_nn::{Graph, Parameters};
use serde::Serialize;
use serde_json::Value;

pub(crate) use settings::{NetworkIdentity, check_normalize, network_settings};

use crate::key::Key;
use crate::record::Kind;
use crate::spec::{AttackSpec, ClassifierKind, ClassifierSpec, Column, Normalize, Row, Spec};
use crate::{Device, Profile, Result};

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How much is done.
    pub profile: Profile,
    /// Keep only rows whose label contains one of these, separated by commas.
    pub rows: Option<String>,
    /// Root seeds in place of the profile's.
    pub seeds: Option<Vec<u64>>,
    /// What does the arithmetic.
    pub device: Device,
    /// Folder of the full data sets; `None` = [`robin_data::default_dir`].
    pub data_dir: Option<PathBuf>,
}

/// Cells in an order in which they can run: all networks, then all evaluations.
#[derive(Debug)]
pub struct Plan {
    /// The item's name.
    pub item: String,
    /// The item's heading.
    pub title: String,
    /// How much is done.
    pub profile: Profile,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// What does the arithmetic.
    pub device: Device,
    /// Rows that passed the filter.
    pub rows: Vec<PlannedRow>,
    /// What is compared.
    pub classifiers: Vec<ClassifierSpec>,
    /// How it is measured.
    pub columns: Vec<Column>,
    /// The work.
    pub cells: Vec<Cell>,
}

impl Plan {
    /// Resolves `spec`.
    ///
    /// # Errors
    /// Every mistake that can be found without training: unknown names, settings that contradict each other,
    /// data that is not there, attacks that cannot be built.
    pub fn new(spec: &Spec, request: &Request) -> Result<Self> {
        cells::plan(spec, request)
    }
}

/// A row, and what the profile made of it.
#[derive(Debug, Clone)]
pub struct PlannedRow {
    /// As written.
    pub row: Row,
    /// As run.
    pub ran: Ran,
    /// In words, what the profile shrank; empty if nothing.
    pub shrunk: Vec<String>,
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
    /// Hash of `settings`.
    pub key: Key,
    /// Everything that decides the results.
    pub settings: Value,
    /// Positions in [`Plan::cells`] of what must be there first.
    pub needs: Vec<usize>,
    /// What is to be done.
    pub work: Work,
}

impl Cell {
    /// Network or evaluation.
    pub fn kind(&self) -> Kind {
        match self.work {
            Work::Network(_) => Kind::Network,
            Work::Evaluation(_) => Kind::Evaluation,
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
    /// The attack on them.
    pub attack: AttackSpec,
    /// Its budget.
    pub budget: Budget,
}

impl NetworkWork {
    /// The network's parameters before training.
    pub fn parameters(&self) -> Parameters {
        let mut parameters = Parameters::initialise(&self.graph, self.seed);
        if let Some(Normalize { mean, std }) = &self.normalize {
            for (name, values) in [("normalize.mean", mean), ("normalize.std", std)] {
                let buffer = parameters.buffers.iter_mut().find(|buffer| buffer.name == name);
                let buffer = buffer.expect("every model begins with this layer");
                buffer.values = values.iter().map(|&value| value as f32).collect();
            }
        }
        parameters
    }
}

/// A classifier to be evaluated.
#[derive(Debug)]
pub struct EvaluationWork {
    /// Where the result belongs in the table.
    pub place: Place,
    /// How the needed networks become one classifier.
    pub kind: ClassifierKind,
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
    /// How far.
    pub budget: Budget,
    /// Which scores it raises.
    pub strategy: StrategyName,
}

/// A result's place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In [`Plan::rows`].
    pub row: usize,
    /// In [`Plan::classifiers`].
    pub classifier: usize,
    /// In [`Plan::columns`].
    pub column: usize,
    /// Root seed.
    pub seed: u64,
    /// `None` when clean.
    pub strategy: Option<StrategyName>,
}
