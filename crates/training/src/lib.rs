//! Training: the loop, its losses, the optimiser and its schedule.
//!
//! Reading order: [`train`](mod@train) (the loop), [`config`] (everything that decides its result), then
//! `step`, [`sgd`] and [`proportion`].
//!
//! Invariant: a run is a function of network, data, settings and seed. It knows no architecture, no file and
//! no clock, and tells an [`Observer`] what happens.

pub mod config;
pub mod error;
pub mod losses;
pub mod observer;
pub mod proportion;
pub mod sgd;
mod step;
pub mod train;

pub use config::{Config, Method, Schedule};
pub use error::{Error, Result};
pub use observer::{EpochReport, Observer, Silent, StepReport};
pub use proportion::Proportion;
pub use sgd::Sgd;
pub use train::{Summary, train};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
