//! The layers of a network that are products.

use std::fmt;

use robin_kernels::{conv2d, linear};
use robin_nn::Graph;
use robin_nn::graph::Layer;

/// Sizes of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    Conv2d(conv2d::Geometry),
    Linear(linear::Geometry),
}

impl Sizes {
    /// Floating-point operations for one image and one direction, by the formula: an algorithm that needs fewer
    /// shows as a higher rate.
    pub(crate) fn flops(&self) -> f64 {
        let products = match self {
            Sizes::Conv2d(g) => g.positions() * g.taps() * g.out_channels,
            Sizes::Linear(g) => g.inputs * g.outputs,
        };
        2.0 * products as f64
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizes::Conv2d(g) => {
                let [height, width] = g.input;
                let (kernel, stride) = (g.kernel, g.stride);
                let (inputs, outputs) = (g.in_channels, g.out_channels);
                write!(f, "{kernel}x{kernel}/{stride} {inputs}>{outputs} @{height}x{width}")
            }
            Sizes::Linear(g) => write!(f, "linear {}>{}", g.inputs, g.outputs),
        }
    }
}

/// Name and sizes of every convolution and linear layer, each size once, under its first name.
pub(crate) fn layer_cases(graph: &Graph) -> Vec<(String, Sizes)> {
    let mut cases: Vec<(String, Sizes)> = Vec::new();
    for node in graph.nodes() {
        let (name, sizes) = match &node.layer {
            Layer::Conv2d { name, geometry, .. } => (name, Sizes::Conv2d(*geometry)),
            Layer::Linear { name, geometry } => (name, Sizes::Linear(*geometry)),
            _ => continue,
        };
        if !cases.iter().any(|(_, known)| *known == sizes) {
            cases.push((name.clone(), sizes));
        }
    }
    cases
}
