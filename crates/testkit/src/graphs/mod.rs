//! Graphs that no model has, and whether an executor computes of them what `candle` does (feature `graphs`).
//!
//! ```
//! use robin_testkit::graphs::{assert_agrees, random};
//!
//! let cpu = robin_nn::executor("cpu").unwrap();
//! (0..3).for_each(|draw| assert_agrees(cpu, &random(draw)));
//! ```

mod agreement;
mod lists;
mod random;

use robin_nn::{Bias, Convolution, Graph, GraphBuilder};

pub use agreement::{IMAGES, TOLERANCE, assert_agrees};
pub use lists::{at_the_images, branches, odd_sequences};
pub use random::random;

/// Outputs of each graph.
pub const CLASSES: usize = 3;

fn conv(channels: usize, [kernel, stride, padding]: [usize; 3]) -> Convolution {
    Convolution { channels, kernel, stride, padding, bias: Bias::Learned }
}

/// A 3x3 convolution that keeps the size.
pub fn same(channels: usize) -> Convolution {
    conv(channels, [3, 1, 1])
}

/// With a layer at its end that has [`CLASSES`] outputs.
pub fn finish(graph: GraphBuilder) -> Graph {
    graph.flatten().linear("fc", CLASSES).build().unwrap()
}
