//! Networks from elsewhere: an ONNX model, or a PyTorch `state_dict`, becomes a [`Graph`] with its [`Parameters`], which
//! every executor runs, with gradients.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use robin_import::onnx::Model;
//! use robin_nn::executor;
//!
//! # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/resnet-small.onnx");
//! let network = Model::read(file.as_ref())?.network(None, None)?;
//! let classifier = executor("cpu")?.classifier(&network.graph, &network.parameters)?;
//! assert_eq!(classifier.num_classes(), 10);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`onnx`] (a file says its own architecture), [`state_dict`] (a file of named tensors, for an architecture
//! that is known here), [`pickle`] (how those tensors are read).
//!
//! Invariants: what a file asks for and cannot be had is refused by name, never left out; no code in a file is run; no
//! file makes this crate panic, and none makes it allocate much more than the file has.

pub mod error;
pub mod fuzz;
mod nearest;
pub mod onnx;
pub mod pickle;
pub mod state_dict;

pub use error::{Error, Result};
use robin_nn::{Graph, Parameters};

/// A network out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its architecture.
    pub graph: Graph,
    /// Its numbers.
    pub parameters: Parameters,
    /// Whether the file itself normalises images: does something to them by fixed numbers first.
    pub normalizes: bool,
}

/// Bytes of the largest file that is read: 8 GB.
pub const LARGEST_FILE: u64 = 1 << 33;

/// Means, then deviations, one of each per channel: what is done to images in `[0, 1]` before a network that does not do it
/// itself.
pub type Normalization = [Vec<f32>; 2];
