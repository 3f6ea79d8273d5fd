//! Several small classifiers as one, and the strategies that attack them.
//!
//! Reading order: [`one_vs_all`] (ROBIN itself), [`strategies`] (which of its scores an attack raises).
//!
//! Invariant: arms are seen through `robin_core::Classifier` only, so anything can be an arm.

pub mod error;
pub mod one_vs_all;
pub mod strategies;

pub use error::{Error, Result};
pub use one_vs_all::OneVsAll;
pub use strategies::{Combine, Entry, Rank, STRATEGIES, StrategyConfig, StrategyName};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
