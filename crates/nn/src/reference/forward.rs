//! The definition of every layer in candle operations, in f32 and in f64.

use candle_core::Tensor;

use super::{Weights, max_pool2d};
use crate::graph::{BATCH_NORM_EPSILON, Layer, Node, Point};
use crate::{Error, Graph, Result};

/// Which statistics batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The running ones: an image does not see its companions.
    Evaluation,
    /// The batch's own; the running ones are not touched here.
    Training,
}

/// The values at every point of a graph for one batch.
#[derive(Debug, Clone)]
pub struct Activations {
    /// The images, then each node's output.
    values: Vec<Tensor>,
    output: Point,
}

impl Activations {
    /// The values at `point`: `[n, c, h, w]`, or `[n, features]` after flattening.
    ///
    /// # Panics
    /// If the graph has no such point.
    pub fn at(&self, point: Point) -> &Tensor {
        &self.values[point.node().map_or(0, |node| node + 1)]
    }

    /// The scores `[n, k]`.
    pub fn outputs(&self) -> &Tensor {
        self.at(self.output)
    }
}

/// Outputs `[n, k]` of `images` `[n, c, h, w]`, in the weights' type, tracked by candle.
///
/// # Errors
/// As [`activations`].
pub fn forward(graph: &Graph, weights: &Weights, images: &Tensor, mode: Mode) -> Result<Tensor> {
    Ok(activations(graph, weights, images, mode)?.outputs().clone())
}

/// Every value on the way from `images` `[n, c, h, w]` to the outputs, in the weights' type, tracked by candle.
///
/// # Errors
/// [`Error::Images`] if the images do not fit the graph; [`Error::BatchStatistics`] in training, for a batch norm
/// with less than two values per channel; [`Error::Layer`] for a convolution that candle cannot take back.
pub fn activations(graph: &Graph, weights: &Weights, images: &Tensor, mode: Mode) -> Result<Activations> {
    graph.image_count(images.dims())?;
    let mut pass = Activations { values: vec![images.clone()], output: graph.output() };
    for node in graph.nodes() {
        let y = apply(graph, node, weights, &pass, mode)?;
        pass.values.push(y);
    }
    Ok(pass)
}

fn apply(graph: &Graph, node: &Node, weights: &Weights, pass: &Activations, mode: Mode) -> Result<Tensor> {
    let x = pass.at(node.inputs[0]);
    let per_channel = |name: &str, part| -> Result<Tensor> {
        let tensor = weights.get(name, part);
        Ok(tensor.reshape((1, tensor.elem_count(), 1, 1))?)
    };
    Ok(match &node.layer {
        Layer::Normalize { name, .. } => {
            x.broadcast_sub(&per_channel(name, "mean")?)?.broadcast_div(&per_channel(name, "std")?)?
        }
        Layer::Conv2d { name, geometry: g, bias } => {
            if g.stride > 1 && g.input[0] != g.input[1] {
                return Err(Error::Layer {
                    graph: graph.name().to_owned(),
                    layer: name.clone(),
                    input: graph.shape(node.inputs[0]).to_vec(),
                    reason: "candle has no gradient of a strided convolution of images that are not square"
                        .to_owned(),
                });
            }
            let y = x.conv2d(weights.get(name, "weight"), g.padding, g.stride, 1, 1)?;
            if *bias { y.broadcast_add(&per_channel(name, "bias")?)? } else { y }
        }
        Layer::BatchNorm2d { name, shape } => {
            let (mean, variance) = match mode {
                Mode::Evaluation => (per_channel(name, "running_mean")?, per_channel(name, "running_var")?),
                Mode::Training if x.elem_count() / shape[0] < 2 => {
                    return Err(Error::BatchStatistics {
                        graph: graph.name().to_owned(),
                        layer: name.clone(),
                    });
                }
                Mode::Training => {
                    let (mean, variance) = batch_statistics(x)?;
                    let shape = (1, shape[0], 1, 1);
                    (mean.reshape(shape)?, variance.reshape(shape)?)
                }
            };
            let deviation = (variance + f64::from(BATCH_NORM_EPSILON))?.sqrt()?;
            x.broadcast_sub(&mean)?
                .broadcast_div(&deviation)?
                .broadcast_mul(&per_channel(name, "weight")?)?
                .broadcast_add(&per_channel(name, "bias")?)?
        }
        // candle's own relu has derivative 1 at 0; PyTorch and we have 0.
        Layer::Relu => (x * x.gt(0.0)?.to_dtype(x.dtype())?)?,
        Layer::MaxPool2d(geometry) => x.contiguous()?.apply_op1(max_pool2d::MaxPool2d(*geometry))?,
        Layer::AvgPool2d(g) => {
            let [height, width] = g.output();
            x.reshape((x.dims()[0], g.channels, height, g.window, width, g.window))?.mean((3, 5))?
        }
        Layer::Add => (x + pass.at(node.inputs[1]))?,
        Layer::Flatten(_) => x.flatten_from(1)?,
        Layer::Linear { name, .. } => {
            x.matmul(&weights.get(name, "weight").t()?)?.broadcast_add(weights.get(name, "bias"))?
        }
    })
}

/// Mean and variance `[c]` of each channel of `[n, c, h, w]`, tracked; the variance is divided by the number of
/// values.
///
/// # Errors
/// [`Error::Tensor`] if `x` has another number of dimensions.
pub fn batch_statistics(x: &Tensor) -> Result<(Tensor, Tensor)> {
    // Channels first and the rest in a row: one mean over many values, not a mean of means.
    let rows = x.transpose(0, 1)?.flatten_from(1)?;
    let mean = rows.mean_keepdim(1)?;
    let variance = rows.broadcast_sub(&mean)?.sqr()?.mean_keepdim(1)?;
    Ok((mean.flatten_all()?, variance.flatten_all()?))
}
