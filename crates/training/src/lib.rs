//! Training: the loop, its methods and losses, the optimiser and its schedule, checkpoints.
//!
//! Reading order: [`trainer`] (the loop), [`config`] and [`method`] (everything that decides its result), then
//! `step`, [`losses`], [`sgd`] and [`schedule`]; [`checkpoint`] for what a stopped training leaves behind.
//!
//! Invariant: a run is a function of network, data, settings and seed, however often it is stopped and continued. It
//! knows no architecture and tells an [`Observer`] what happens; files and the clock are [`checkpoint`]'s alone, and
//! move no result.

mod averaging;
pub mod checkpoint;
pub mod config;
pub mod error;
pub mod losses;
pub mod method;
pub mod observer;
pub mod proportion;
mod resident;
pub mod schedule;
pub mod sgd;
pub mod state;
mod step;
pub mod tally;
pub mod train;
pub mod trainer;
mod validation;
pub mod watchdog;

pub use checkpoint::{Checkpointing, Continued, SaveToken};
pub use config::{Config, Outputs, Validation, WeightAveraging};
pub use error::{Error, Result};
pub use method::{AttackMode, AttackStart, Method};
pub use observer::{EpochReport, Observer, Silent, StepReport, ValidationReport};
pub use proportion::Proportion;
pub use schedule::Schedule;
pub use sgd::Sgd;
pub use state::{Best, Summary, Trained};
pub use tally::Tally;
pub use train::train;
pub use trainer::{Task, Trainer};
pub use watchdog::Warning;

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
