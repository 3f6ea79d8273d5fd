//! A graph with its parameters, prepared for the kernels.

use robin_kernels::conv2d::implicit_gemm;
use robin_kernels::{linear::packed, max_pool2d};

use crate::graph::{Layer, Node, Point};
use crate::{Error, Graph, Parameters, Result};

/// The stages of a graph with the present parameters.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) graph: Graph,
    pub(super) stages: Vec<Stage>,
}

/// One step of the forward pass. Flattening is no step: the linear layer after it has its weights reordered.
#[derive(Debug)]
pub(super) enum Stage {
    Normalize { mean: Vec<f32>, std: Vec<f32> },
    Conv2d(implicit_gemm::Packed),
    Relu,
    MaxPool2d(max_pool2d::Geometry),
    Linear { layer: packed::Packed, flattened: Option<[usize; 3]> },
}

impl Program {
    /// # Errors
    /// [`Error::Layer`] for a graph that is no chain, and for a layer that has no kernel yet.
    pub(super) fn new(graph: &Graph, parameters: &Parameters) -> Result<Self> {
        let values = |name: &str, part: &str| {
            let tensor = parameters.get(&format!("{name}.{part}"));
            &tensor.expect("parameters were checked against the graph").values
        };
        let mut flattened = None;
        let mut stages = Vec::new();
        for (index, node) in graph.nodes().iter().enumerate() {
            let before = index.checked_sub(1).map_or(Point::IMAGES, Point::of);
            stages.push(match &node.layer {
                _ if node.inputs != [before] => return Err(unsupported(graph, node)),
                Layer::Normalize { name, .. } => {
                    Stage::Normalize { mean: values(name, "mean").clone(), std: values(name, "std").clone() }
                }
                Layer::Conv2d { name, geometry, bias: true } => {
                    let weights = geometry.weights_from_torch(values(name, "weight"));
                    Stage::Conv2d(implicit_gemm::Packed::new(*geometry, &weights, values(name, "bias")))
                }
                Layer::Relu => Stage::Relu,
                Layer::MaxPool2d(geometry) => Stage::MaxPool2d(*geometry),
                Layer::Flatten(shape) => {
                    flattened = Some(*shape);
                    continue;
                }
                Layer::Linear { name, geometry } => {
                    let (flattened, bias) = (flattened.take(), values(name, "bias"));
                    let layer = match flattened {
                        Some(shape) => {
                            let weights = reorder_rows(values(name, "weight"), shape, Order::ChannelsLast);
                            packed::Packed::new(*geometry, &weights, bias)
                        }
                        None => packed::Packed::new(*geometry, values(name, "weight"), bias),
                    };
                    Stage::Linear { layer, flattened }
                }
                Layer::Conv2d { .. } | Layer::BatchNorm2d { .. } | Layer::AvgPool2d(_) | Layer::Add => {
                    return Err(unsupported(graph, node));
                }
            });
        }
        Ok(Self { graph: graph.clone(), stages })
    }
}

fn unsupported(graph: &Graph, node: &Node) -> Error {
    Error::Layer {
        graph: graph.name().to_owned(),
        layer: format!("{:?}", node.layer),
        input: graph.shape(node.inputs[0]).to_vec(),
        reason: "the executor cpu cannot run it yet".to_owned(),
    }
}

/// Order of the values of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `[h, w, c]`, ours.
    ChannelsLast,
    /// `[c, h, w]`, PyTorch's.
    ChannelsFirst,
}

/// Every row of `values` holds an image of `shape` `[c, h, w]` in the other order; returns them in order `to`.
pub(super) fn reorder_rows(values: &[f32], [channels, height, width]: [usize; 3], to: Order) -> Vec<f32> {
    let area = height * width;
    if channels == 1 || area == 1 {
        return values.to_vec();
    }
    // From rows of `outer` groups of `inner` values to the transpose.
    let (outer, inner) = match to {
        Order::ChannelsLast => (channels, area),
        Order::ChannelsFirst => (area, channels),
    };
    let mut reordered = vec![0.0; values.len()];
    for (from, to) in values.chunks_exact(outer * inner).zip(reordered.chunks_exact_mut(outer * inner)) {
        for (at_outer, group) in from.chunks_exact(inner).enumerate() {
            for (at_inner, value) in group.iter().enumerate() {
                to[at_inner * outer + at_outer] = *value;
            }
        }
    }
    reordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reordering_is_a_transpose_and_its_own_inverse() {
        let images: Vec<f32> = (0..2 * 3 * 2 * 4).map(|i| i as f32).collect();
        let last = reorder_rows(&images, [3, 2, 4], Order::ChannelsLast);
        // Second image, channel 1, row 1, column 2.
        assert_eq!(last[24 + (4 + 2) * 3 + 1], images[24 + 8 + 4 + 2]);
        assert_eq!(reorder_rows(&last, [3, 2, 4], Order::ChannelsFirst), images);
    }
}
