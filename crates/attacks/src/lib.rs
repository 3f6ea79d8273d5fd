//! Base attacks, one file each, and the list of them.
//!
//! Reading order: [`pgd`] (the attack of every table), [`config`] (how it is written in a spec), [`start`]
//! (where it begins), [`objectives`] (what it raises on a plain classifier).
//!
//! Invariant: an attack sees a classifier through `robin_core::Classifier` only. One that knew an
//! architecture would be another threat model.

pub mod config;
pub mod error;
pub mod fgsm;
mod images;
mod joined;
pub mod list;
pub mod loss;
pub mod objectives;
pub mod pgd;
pub mod random_noise;
pub mod start;
mod step;

pub use config::{Config, StepSize};
pub use error::{Error, Result};
pub use fgsm::Fgsm;
pub use list::{ATTACKS, Entry};
pub use loss::Loss;
pub use pgd::Pgd;
pub use random_noise::RandomNoise;
pub use start::Start;

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
