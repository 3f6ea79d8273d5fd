//! Agreement of input gradients between the networks of an aggregate: equation 1 of the paper.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use robin_core::{Batch, Classifier, Columns, ExampleId, Result, Scores};
//!
//! /// Two arms that look at one pixel, for and against.
//! struct Arms;
//!
//! impl Classifier for Arms {
//!     fn num_classes(&self) -> usize {
//!         2
//!     }
//!
//!     fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
//!         let pixel = images.flatten_from(1)?;
//!         let both = Tensor::cat(&[&pixel, &pixel.neg()?], 1)?;
//!         Scores::new(match columns {
//!             Columns::One(arm) => both.narrow(1, *arm, 1)?,
//!             _ => both,
//!         })
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let images = Tensor::from_vec(vec![0.9_f32], (1, 1, 1, 1), &Device::Cpu)?;
//! let batch = Batch::new(images, vec![0], vec![ExampleId::first(0)])?;
//! let found = robin_coherence::arms(&Arms, &batch)?;
//! // What lowers the right arm raises the other one.
//! assert_eq!(found[0].coherence.value(), Some(1.0));
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`arms`](mod@arms) (ROBIN), [`networks`](mod@networks) (an ensemble, for comparison), `term` (a
//! loss and its gradient), [`summary`].
//!
//! Low coherence alone says little: saturated arms are orthogonal too, because what is left of their gradients is
//! noise. So the sizes of the gradients stand beside every cosine, and untrained networks are the control.
//!
//! Invariant: clean images, evaluation mode, every example by itself. An example whose gradients have no direction
//! is left out and counted, never taken for 0.

pub mod arms;
pub mod networks;
pub mod summary;
mod term;

pub use arms::arms;
pub use networks::networks;
pub use summary::{Histogram, MOST_BINS, Sizes, Summary};

use serde::{Deserialize, Serialize};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;

/// What was found about one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The largest cosine, or why there is none.
    pub coherence: Coherence,
    /// l2 norm of each loss's gradient on the image (loss per pixel unit), by arm or network.
    pub norms: Vec<f64>,
}

/// The largest cosine between two losses' gradients on the image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Coherence {
    /// The cosine, in `[-1, 1]`, and whose gradients it is of; the first such pair on a tie.
    Cosine {
        /// The cosine.
        value: f64,
        /// Numbers of the two arms or networks; of arms the true class comes first.
        of: [usize; 2],
    },
    /// This one's gradient is exactly zero, or its loss is so small that f64 has no number for its gradient.
    Zero {
        /// Number of the arm or network.
        of: usize,
    },
    /// This one's gradient holds a NaN or an infinity.
    NotFinite {
        /// Number of the arm or network.
        of: usize,
    },
}

impl Coherence {
    /// The cosine, if there is one.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Cosine { value, .. } => Some(value),
            Self::Zero { .. } | Self::NotFinite { .. } => None,
        }
    }
}
