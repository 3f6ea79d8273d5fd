//! What is done: a network is trained, or something is measured of trained ones. One file per kind, and whoever plans, runs,
//! estimates or keeps cells knows only `Work`.
//!
//! Reading order: [`network`] (train, measure), [`evaluation`] (aggregate, attack, measure), [`one_class`] (section 3's task),
//! [`distances`], [`coherence`], [`toy`]; [`mod@amount`] is what they cost.

pub mod amount;
pub mod coherence;
pub mod distances;
pub mod evaluation;
mod measure;
pub mod network;
pub mod one_class;
pub mod toy;
mod training;

use std::fmt::Debug;
use std::path::PathBuf;

use robin_core::CancelToken;
use robin_nn::Executor;
use robin_training::Checkpointing;
use serde_json::{Map, Value};

pub(crate) use amount::Amount;
pub(crate) use evaluation::EvaluationWork;
pub(crate) use measure::{aggregate, to_json};
pub(crate) use network::NetworkWork;

use crate::key::Key;
use crate::record::Kind;
use crate::{Error, Observer, Result, Watched};

/// One piece of work, whose result is a record.
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
    /// Positions, earlier in the list, of what must be there first.
    pub needs: Vec<usize>,
    /// What is to be done.
    pub(crate) work: Box<dyn Work>,
}

impl Cell {
    /// The cell with these settings.
    pub(crate) fn new(
        item: &str,
        label: String,
        settings: &Value,
        needs: Vec<usize>,
        work: impl Work + 'static,
    ) -> Self {
        let (key, text) = (Key::of(settings), settings.to_string());
        Self { label, item: item.to_owned(), key, settings: text.into(), needs, work: Box::new(work) }
    }

    /// Everything that decides the results.
    pub fn settings(&self) -> Value {
        serde_json::from_str(&self.settings).expect("the plan wrote it as JSON")
    }

    /// Network or evaluation.
    pub fn kind(&self) -> Kind {
        match self.work.network() {
            Some(_) => Kind::Network,
            None => Kind::Evaluation,
        }
    }
}

/// What a cell does.
pub(crate) trait Work: Debug + Send + Sync {
    /// Does it, with the networks that the cell needs.
    fn run(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed>;

    /// What it costs, where the cell needs so many networks.
    fn amount(&self, networks: f64) -> Amount;

    /// Bytes that its results take beyond a short record.
    fn result_bytes(&self) -> u64 {
        0
    }

    /// The network that is trained, if it is that.
    fn network(&self) -> Option<&NetworkWork> {
        None
    }

    /// The classifier that is evaluated for a table, if it is that.
    fn evaluation(&self) -> Option<&EvaluationWork> {
        None
    }
}

/// A network that a cell needs: how it was to be trained, and its weights.
pub(crate) struct TrainedNetwork<'a> {
    pub(crate) work: &'a NetworkWork,
    pub(crate) weights: Vec<u8>,
}

/// What a cell has come to.
#[derive(Debug)]
pub(crate) struct Computed {
    pub(crate) results: Value,
    /// A network's.
    pub(crate) weights: Option<Weights>,
    /// What may differ when it is done again.
    pub(crate) provenance: Map<String, Value>,
    /// What could not be written beside it.
    pub(crate) unsaved: Option<Error>,
}

impl From<Value> for Computed {
    fn from(results: Value) -> Self {
        Self { results, weights: None, provenance: Map::new(), unsaved: None }
    }
}

/// A trained network's weights, as the bytes of safetensors files without a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// What the network's evaluations load.
    pub chosen: Vec<u8>,
    /// Those after the last epoch, where held-out images chose among the epochs.
    pub last: Option<Vec<u8>>,
}

/// What a cell's work may use.
pub(crate) struct Context<'a> {
    pub(crate) executor: &'static dyn Executor,
    pub(crate) batch_size: usize,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) watched: &'a Watched<'a>,
    /// A training's checkpoints.
    pub(crate) checkpointing: Checkpointing,
    /// Folder of a training's logs, where some are kept.
    pub(crate) logs: Option<PathBuf>,
}

impl<'a> Context<'a> {
    fn options<'b>(&'b self, watcher: &'b mut measure::Watcher<'a>) -> robin_evaluation::Options<'b> {
        robin_evaluation::Options { batch_size: self.batch_size, cancel: self.cancel, observer: watcher }
    }
}
