//! Training outside the paper's tables: one network, or every arm of an aggregate, from settings given one by one. They become
//! cells like those of a table, which the same [`engine`](crate::engine) runs; only their folder is another.
//!
//! Reading order: [`request`] (what may be said), `resolve` (everything else filled in, every mistake found before
//! any work), [`folder`] (what is on disk), [`execute`](mod@execute).
//!
//! A result folder belongs to one set of settings. Given again, finished arms are kept and interrupted ones continued
//! from their checkpoints; the outcome is the same bit for bit, however often that happens.

pub mod execute;
pub mod folder;
pub mod request;
mod resolve;
#[cfg(test)]
mod tests;
pub mod text;

pub use execute::execute;
pub use request::{MethodName, Overrides, RecipeName, Request, TrainedKind};

use serde_json::Value;

use crate::Device;
use crate::cell::Cell;

/// A training with everything resolved.
#[derive(Debug)]
pub struct TrainingRun {
    /// What the folder is for: all settings that the networks share.
    pub settings: Value,
    /// What is trained, in class order: `multiclass`, or `arm-0` and so on; so their files are called.
    pub cells: Vec<Cell>,
    /// What does the arithmetic.
    pub device: Device,
    /// What was decided for the user, in words.
    pub notes: Vec<String>,
    /// What is doubtful about the images and the settings, in words.
    pub warnings: Vec<String>,
}
