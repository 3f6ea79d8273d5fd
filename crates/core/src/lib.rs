//! The vocabulary of ROBIN: what an attack needs to know about a classifier, and nothing else.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use robin_core::{Budget, Norm};
//!
//! # fn main() -> robin_core::Result<()> {
//! let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse()? };
//! let clean = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu)?;
//! let far = clean.ones_like()?;
//! assert!(budget.verify(&clean, &far).is_err());
//! budget.verify(&clean, &budget.project(&clean, &far)?)?;
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`classifier`] (what an attacker sees), [`objective`] (what it raises), [`attack`] (who
//! moves the images), [`on_device_pgd`] (who moves them elsewhere), [`budget`] (how far), [`seed`] (where random numbers come from).
//!
//! Invariant: this crate knows no architecture, no file format, no clock and no command line.

pub mod attack;
pub mod batch;
pub mod budget;
pub mod cancel;
pub mod classifier;
pub mod columns;
pub mod epsilon;
pub mod error;
pub mod host;
pub mod norm;
pub mod objective;
pub mod occupancy;
pub mod on_device_pgd;
pub mod scores;
pub mod seed;

pub use attack::{
    Adversarial, Attack, Cost, Iterate, Misclassified, OneClass, Strategy, SuccessCriterion, Target,
};
pub use batch::{Batch, ExampleId};
pub use budget::Budget;
pub use cancel::CancelToken;
pub use classifier::{Classifier, Pass};
pub use columns::{ColumnTable, Columns};
pub use epsilon::{Epsilon, Epsilons};
pub use error::{Error, Result};
pub use norm::Norm;
pub use objective::{Ascent, Objective, ObjectiveValues};
pub use on_device_pgd::{ObjectiveSpec, OnDevicePgd, PgdOutcome, PgdRun, Terms};
pub use scores::Scores;
pub use seed::{Purpose, Seed, Stream};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
