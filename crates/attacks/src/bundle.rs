//! Attacks in stages, each on the examples that the stages before have left standing.

use crate::{Config, Loss};

/// One stage of a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// What it is called in reports.
    pub name: &'static str,
    /// The attack without its budget.
    pub attack: Config,
    /// What it raises on all scores.
    pub loss: Loss,
}
