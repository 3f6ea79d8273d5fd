//! Kernels for CUDA devices: channels-last, on buffers that stay on the device.
//!
//! Reading order: [`precision`] (what activations are stored as), [`device`] (what a device can do), [`context`] and [`buffer`]
//! (memory and launches in one order), [`products`] (convolutions and fully connected layers), [`layers`], [`norms`], [`attack`],
//! [`batches`], [`learning`], [`pairs`], [`objectives`] (one function for each kernel in `sources/`); then the devices: [`driver`] (a GPU: libcuda,
//! NVRTC, cuBLAS, and cuDNN with the feature `cudnn`, all loaded when first asked for, so that a program
//! with them starts anywhere) and [`host`] (the same kernels compiled for this processor, for tests).
//!
//! Invariant: no kernel uses shared memory, waits for another thread or adds in an order that the device decides, so
//! `host` computes what a GPU computes, but for the order of sums inside cuBLAS and cuDNN and the last bits of `exp`, `log`, `cos` and `pow`.

pub mod algorithms;
mod arguments;
pub mod attack;
pub mod batches;
pub mod buffer;
pub mod context;
pub mod device;
pub mod driver;
pub mod error;
pub mod host;
pub mod layers;
pub mod learning;
pub mod norms;
pub mod objectives;
pub mod pairs;
pub mod precision;
pub mod products;
mod sources;

#[cfg(feature = "cudnn")]
mod cudnn;

pub use algorithms::Selection;
pub use buffer::{Buffer, Element, Plain, Real};
pub use context::{Context, Recording};
pub use device::{Argument, Device};
pub use error::{Error, Result};
pub use precision::{Precision, Storage};
pub use products::{Pass, Product};

/// Channels that a thread takes together: those of every value on a device are filled up to a multiple by zeros.
pub const PACK: usize = 8;
