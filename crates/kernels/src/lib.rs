//! Channels-last f32 kernels with exact gradients, on plain buffers.
//!
//! One folder per operation; each has its formula and geometry in `mod.rs`, a slow `reference.rs` that is the
//! judge, and the fast implementations beside it. No autograd, no tensors, no threads here: a kernel works on
//! some images of a [`layout`], and callers spread images over threads.
//!
//! ```
//! use robin_kernels::max_pool2d::{Geometry, reference};
//!
//! let geometry = Geometry::tiles([2, 2], 1, 2);
//! let (largest, places) = reference::forward(&geometry, &[1.0, 2.0, 4.0, 3.0]);
//! assert_eq!(largest, [4.0]);
//! // The whole gradient goes to the largest value.
//! assert_eq!(reference::input_gradient(&geometry, &places, &[1.0]), [0.0, 0.0, 1.0, 0.0]);
//! ```
//!
//! Reading order: [`layout`] (how images lie in memory), `vector` (the one vector type), [`panels`] (products of
//! rows with packed weights), [`factors`] (f32 or pairs of bf16), `outer` (products of whole batches, for weights), [`epilogue`] (what becomes of the sums),
//! then [`conv2d`].
//!
//! Invariant: the result of an image does not depend on its companions. Forward and backward products are
//! chains of multiply-adds in one order ([`panels`]); sums over examples (weight gradients) are cut in blocks that
//! follow from layer and batch size alone, never from the number of threads.

pub mod affine;
pub mod aligned;
pub mod avg_pool2d;
pub mod batch_norm;
mod bf16;
pub mod bias_gradient;
pub mod conv2d;
pub mod epilogue;
pub mod factors;
pub mod flatten;
mod gradient;
pub mod isa;
pub mod layout;
pub mod linear;
pub mod max_pool2d;
mod outer;
pub mod panels;
#[cfg(test)]
mod sample;
mod sizes;
mod vector;

pub use vector::LANES;

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 3;
