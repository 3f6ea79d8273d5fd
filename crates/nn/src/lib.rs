//! Networks as data, their parameters, and the executors that run them.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use robin_core::Seed;
//! use robin_nn::{EXECUTORS, Graph, Parameters};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = Graph::builder("tiny", [1, 4, 4]).flatten().linear("fc", 3).build()?;
//! let parameters = Parameters::initialise(&graph, Seed::new(0));
//! let images = Tensor::full(0.5_f32, (2, 1, 4, 4), &Device::Cpu)?;
//! for executor in EXECUTORS {
//!     let classifier = executor.classifier(&graph, &parameters)?;
//!     println!("{}: {:?}", executor.name(), classifier.predict(&images)?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`graph`] (an architecture), [`parameters`] (its numbers), [`mod@note`] (what a weight file says of its network), [`network`] (what training
//! owns), [`executor`](mod@executor) (a way to run a graph), [`list`] (all of them), then [`mod@candle`] (candle's layers, the judge) and [`cpu`]
//! (our kernels). Executors of other crates implement [`Executor`] too: `robin-cuda`'s runs graphs on a GPU.
//!
//! Invariant: a graph names layers, never a kernel or a memory layout; an executor runs a graph or refuses it by the layer's name, and `candle` runs every one.

pub mod candle;
pub mod cpu;
pub mod device_resident;
pub mod error;
pub mod executor;
pub mod graph;
pub mod list;
pub mod network;
pub mod note;
pub mod parameters;

pub use error::{Error, Result};
pub use executor::Executor;
pub use graph::{Bias, Convolution, Graph, GraphBuilder, Initialisation};
pub use list::{EXECUTORS, executor};
pub use network::{Gradient, Gradients, LossFn, Network};
pub use note::{note, with_note, without_note};
pub use parameters::{NamedTensor, Parameters, tensor_shapes};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 2;
