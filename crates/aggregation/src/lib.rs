//! Several small classifiers as one, and the strategies that attack them.
//!
//! Reading order: [`one_vs_all`] (ROBIN itself), [`strategies`] (which of its scores an attack raises),
//! [`list`] (every aggregate), then [`hierarchical`], the only other one with strategies of its own.
//!
//! Invariant: arms are seen through `robin_core::Classifier` only, so anything can be an arm.

mod arms;
mod combination;
mod ensemble;
pub mod error;
pub mod hierarchical;
pub mod list;
mod merge_binary;
pub mod one_vs_all;
mod one_vs_one;
mod shared_trunk;
pub mod strategies;

pub use error::{Error, Result};
pub use hierarchical::{Split, SplitName, strategies::Stages};
pub use list::{AGGREGATIONS, Aggregation, AggregationEntry};
pub use one_vs_all::OneVsAll;
pub use strategies::{Combine, Entry, Rank, STRATEGIES, StrategyConfig, StrategyName};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
