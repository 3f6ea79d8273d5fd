//! Training: the loop, its methods and losses, the optimiser and its schedule, checkpoints.
//!
//! ```
//! use robin_core::{CancelToken, Seed};
//! use robin_data::{Dataset, DatasetName, Flip, LabelMap, Padding, Sampling, Source, Split};
//! use robin_nn::{Graph, Parameters, executor};
//! use robin_training::{AttackMode, Config, Method, Outputs, Schedule, Silent, train};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let digits = Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded)?.take(200)?;
//! let config = Config {
//!     method: Method::Standard {},
//!     epochs: 2,
//!     batch_size: 50,
//!     learning_rate: 0.1,
//!     momentum: 0.9,
//!     weight_decay: 0.0,
//!     outputs: Outputs::Classes,
//!     schedule: Schedule::Steps { milestones: vec![0.5], factor: 0.1 },
//!     sampling: Sampling::Plain,
//!     crop_padding: 0,
//!     padding: Padding::Zeros,
//!     flip: Flip::None,
//!     attack_mode: AttackMode::Eval,
//!     label_smoothing: 0.0,
//!     weight_averaging: None,
//!     validation: None,
//! };
//! let graph = Graph::builder("linear", [1, 28, 28]).flatten().linear("fc", 10).build()?;
//! let mut network = executor("cpu")?.network(&graph, Parameters::initialise(&graph, Seed::new(0)))?;
//! let (seed, cancel) = (Seed::new(0), CancelToken::new());
//! let summary = train(&mut *network, &digits, &LabelMap::Identity, &config, seed, &mut Silent, &cancel)?;
//! assert!(summary.epochs[1].loss < summary.epochs[0].loss);
//! # Ok(())
//! # }
//! ```
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
mod device_resident;
pub mod error;
pub mod losses;
pub mod method;
pub mod observer;
pub mod proportion;
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
