//! Several small classifiers as one, and the strategies that attack them.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use robin_aggregation::Aggregation;
//! use robin_core::{Classifier, Columns, Result, Scores};
//!
//! /// "Is this of my class?", as log-odds: a line through an image's only pixel.
//! struct Arm {
//!     slope: f64,
//!     offset: f64,
//! }
//!
//! impl Classifier for Arm {
//!     fn num_classes(&self) -> usize {
//!         1
//!     }
//!
//!     fn scores(&self, images: &Tensor, _columns: &Columns) -> Result<Scores> {
//!         Scores::new(images.flatten_from(1)?.affine(self.slope, self.offset)?)
//!     }
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let dark = Arm { slope: -2.0, offset: 1.0 };
//! let bright = Arm { slope: 2.0, offset: -1.0 };
//! let whole = Aggregation::OneVsAll.build(vec![Box::new(dark), Box::new(bright)])?;
//! let images = Tensor::from_vec(vec![0.9_f32, 0.1], (2, 1, 1, 1), &Device::Cpu)?;
//! assert_eq!(whole.predict(&images)?, [1, 0]);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`one_vs_all`] (ROBIN itself), [`strategies`] (which of its scores an attack maximises),
//! [`description`] (an attack and its strategy as data), [`list`] (every aggregate), then [`hierarchical`], the only other
//! one with strategies of its own.
//!
//! Invariant: arms are seen through `robin_core::Classifier` only, so anything can be an arm.

pub mod about;
mod arms;
mod combination;
pub mod description;
mod ensemble;
pub mod error;
pub mod hierarchical;
pub mod list;
mod merge_binary;
mod mixture;
pub mod one_vs_all;
mod one_vs_one;
mod shared_trunk;
pub mod strategies;

pub use about::{About, Networks};
pub use description::{AttackDescription, StrategyChoice};
pub use error::{Error, Result};
pub use hierarchical::{Split, SplitName, strategies::Stages};
pub use list::{AGGREGATIONS, Aggregation, AggregationEntry};
pub use one_vs_all::OneVsAll;
pub use strategies::{Combine, Entry, Rank, STRATEGIES, StrategyConfig, StrategyName};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
