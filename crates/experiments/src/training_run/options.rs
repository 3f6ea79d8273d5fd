//! How a training is run, and by whom it is watched.

use std::time::Duration;

use robin_core::CancelToken;
use robin_training::SaveToken;

use super::watch::Watch;
use crate::Environment;

/// How a training is run. Nothing here moves a result.
pub struct Options<'a> {
    /// Threads of the pool that all arms share; `None` = one per core.
    pub threads: Option<usize>,
    /// Arms that are trained side by side, never more than threads; `None` = one per thread.
    pub jobs: Option<usize>,
    /// The least time between two checkpoints of an arm.
    pub checkpoint_every: Duration,
    /// Asks for a stop, after a checkpoint.
    pub cancel: &'a CancelToken,
    /// Asks for checkpoints, after which the training goes on.
    pub save: SaveToken,
    /// Watches.
    pub watch: &'a dyn Watch,
    /// Written beside every result.
    pub environment: &'a Environment,
}
