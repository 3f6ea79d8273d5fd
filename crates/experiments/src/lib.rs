//! The paper's tables as data: planned, run, recorded.
//!
//! ```
//! use robin_experiments::{Plan, Profile, Request, Spec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request {
//!     profile: Profile::Smoke,
//!     rows: Some("mnist/cnn2/linf".to_owned()),
//!     beyond: false,
//!     seeds: None,
//!     reading: None,
//!     attack_images: Default::default(),
//!     device: "cpu".parse()?,
//!     data_dir: None,
//! };
//! let plan = Plan::new(&[Spec::named("table-1")?], &request)?;
//! println!("{} networks and evaluations, none of them made yet", plan.cells.len());
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`spec`] (what is written), [`plan`] (everything resolved), [`cell`] (what one cell does:
//! train, aggregate, attack, measure), [`engine`] (which cell when), [`record`], [`mod@role`] and [`store`] (what is kept),
//! [`table`], [`figure`], [`gallery`] and [`claims`] (the outcome); apart from these [`external_model`] (networks that somebody else trained)
//! and [`cluster`] (a plan on many machines).
//!
//! Invariant: a result depends on its cell's settings and nothing else, so a cell that is there is never run
//! again, and one that is made again is the same byte for byte. Time, machine and commit are written beside
//! results, never into a key.

pub mod alignment;
mod budgets;
mod caveats;
pub mod cell;
pub mod claims;
pub mod cluster;
pub mod cost;
pub mod device;
pub mod engine;
pub mod environment;
pub mod error;
pub mod export;
pub mod external_model;
pub mod figure;
#[doc(hidden)]
pub mod fuzz;
pub mod gallery;
pub mod item;
pub mod key;
pub mod logs;
pub mod observer;
pub mod out;
pub mod plan;
pub mod preview;
pub mod profile;
pub mod record;
pub mod reproduce;
pub mod role;
mod shelf;
pub mod spec;
pub mod store;
pub mod study;
pub mod table;
pub mod threads;
pub mod training_run;

pub use budgets::paper_budget;
pub use claims::{ClaimVerdict, Verdict};
pub use device::{Arithmetic, Device};
pub use engine::{Options, Outcome};
pub use environment::Environment;
pub use error::{Error, Result};
pub use figure::Figure;
pub use gallery::Gallery;
pub use item::{Item, collect, stored, was_asked_for};
pub use observer::{Observer, Progress, TrainingStep, Watched};
pub use plan::{Plan, Request};
pub use preview::{ItemPreview, Preview, State};
pub use profile::Profile;
pub use reproduce::reproduce;
pub use role::Role;
pub use spec::{COMMON, ITEMS, Spec};
pub use store::Writer;
pub use table::{Table, TableCell};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
