//! Channels-last f32 kernels with exact gradients, on plain buffers.
//!
//! One folder per operation; each has its formula and geometry in `mod.rs`, a slow `reference.rs` that is the
//! judge, and the fast implementations beside it. No autograd, no tensors, no threads here: a kernel works on
//! one image, or on a block of rows of fixed size, and callers spread those over threads.
//!
//! Invariant: the result of an image does not depend on its companions. Forward and backward products are
//! chains of multiply-adds in one order ([`panels`]); sums over examples (weight gradients) are issued in shapes
//! that follow from layer and batch size alone ([`product`]), never from the number of threads.

pub mod avg_pool2d;
pub mod conv2d;
pub mod isa;
pub mod linear;
pub mod max_pool2d;
pub mod panels;
pub mod product;
pub mod relu;
mod vector;

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
