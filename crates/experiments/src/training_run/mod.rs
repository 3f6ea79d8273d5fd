//! Training outside the paper's tables: one network, or every arm of an aggregate, from settings given one by one.
//!
//! Reading order: [`request`] (what may be said), `resolve` (everything else filled in, every mistake found before
//! any work), [`folder`] (what is on disk), [`execute`](mod@execute) (arms side by side), `arm` (one of them),
//! [`watch`] (what is told meanwhile).
//!
//! A result folder belongs to one set of settings. Given again, finished arms are kept and interrupted ones continued
//! from their checkpoints; the outcome is the same bit for bit, however often that happens.

mod arm;
pub mod execute;
pub mod folder;
pub mod options;
pub mod request;
mod resolve;
#[cfg(test)]
mod tests;
pub mod text;
pub mod watch;

pub use execute::{Outcome, execute};
pub use options::Options;
pub use request::{MethodName, Overrides, RecipeName, Request, TrainedKind};
pub use watch::{Progress, Remaining, Watch};

use serde_json::Value;

use crate::Device;
use crate::plan::NetworkWork;

/// A training with everything resolved.
#[derive(Debug)]
pub struct TrainingRun {
    /// What the folder is for: all settings that the networks share.
    pub settings: Value,
    /// What is trained, in class order.
    pub arms: Vec<Arm>,
    /// What does the arithmetic.
    pub device: Device,
    /// What was decided for the user, in words.
    pub notes: Vec<String>,
    /// What is doubtful about the images and the settings, in words.
    pub warnings: Vec<String>,
}

/// One network of a [`TrainingRun`].
#[derive(Debug)]
pub struct Arm {
    /// `multiclass`, or `arm-0` and so on; names its files.
    pub name: String,
    /// All of its settings; its record's key is their hash.
    pub settings: Value,
    /// The work.
    pub work: NetworkWork,
}
