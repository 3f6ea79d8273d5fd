//! Networks on NVIDIA's GPUs: an executor of graphs (`robin-nn`), and the kernels that it is made of.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use robin_core::Seed;
//! use robin_cuda::kernels::host::Host;
//! use robin_cuda::{Cuda, Precision};
//! use robin_nn::{Executor, Graph, Parameters};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // This processor in the place of a GPU, where there is a C++ compiler; `Cuda::open` takes a GPU.
//! let Some(host) = Host::new()? else { return Ok(()) };
//! let executor = Cuda::on(host, Precision::F32);
//! let graph = Graph::builder("tiny", [1, 4, 4]).flatten().linear("fc", 3).build()?;
//! let classifier = executor.classifier(&graph, &Parameters::initialise(&graph, Seed::new(0)))?;
//! let images = Tensor::full(0.5_f32, (2, 1, 4, 4), &Device::Cpu)?;
//! println!("{}: {:?}", executor.name(), classifier.predict(&images)?);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`executor`] (a graph as steps on a device, in evaluation and in training), then [`kernels`] (devices, their
//! memory, and what runs on them).
//!
//! Invariant: what a device computes is what the host computes step by step. Whoever runs networks knows
//! [`robin_nn::Executor`] and not this crate, and without it misses one device. Its numbers are counted by
//! [`robin_nn::NUMERICS`], which every record's key has: a change here that can move a number raises that.

#[cfg(feature = "candle-cuda")]
compile_error!(
    "the features `cuda` and `candle-cuda` do not go into one build: candle links NVIDIA's libraries when it is built, our own \
     executor loads them when it is asked for, and both by one crate, `cudarc`, which can do either"
);

pub mod executor;
pub mod kernels;

pub use executor::Cuda;
pub use kernels::{Precision, Selection};
