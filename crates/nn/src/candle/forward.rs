//! The definition of every layer by candle's layers and operations, in f32 and in f64, on any device.

use candle_core::Tensor;
use candle_nn::{BatchNormConfig, Conv2dConfig, Module, ModuleT};

use super::Weights;
use super::conv2d::conv2d;
use super::max_pool2d::max_pool2d;
use crate::graph::{BATCH_NORM_EPSILON, Layer, Node, Point, Rounding};
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
/// with less than two values per channel.
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
    Ok(match &node.layer {
        Layer::Normalize { name, .. } => {
            let channels = x.dims()[1];
            let number = |part| {
                weights.layer(name).get(channels, part).and_then(|number| number.reshape((1, (), 1, 1)))
            };
            x.broadcast_sub(&number("mean")?)?.broadcast_div(&number("std")?)?
        }
        Layer::Conv2d { name, geometry: g, bias } => {
            let config = Conv2dConfig { padding: g.padding, stride: g.stride, ..Conv2dConfig::default() };
            let build = if *bias { candle_nn::conv2d } else { candle_nn::conv2d_no_bias };
            conv2d(x, &build(g.in_channels, g.out_channels, g.kernel, config, weights.layer(name))?)?
        }
        Layer::BatchNorm2d { name, shape } => {
            let eps = f64::from(BATCH_NORM_EPSILON);
            let config = BatchNormConfig { eps, ..BatchNormConfig::default() };
            let norm = candle_nn::batch_norm(shape[0], config, weights.layer(name))?;
            match mode {
                Mode::Evaluation => norm.forward_t(x, false)?,
                Mode::Training if x.elem_count() / shape[0] < 2 => {
                    return Err(Error::BatchStatistics {
                        graph: graph.name().to_owned(),
                        layer: name.clone(),
                    });
                }
                // It moves running statistics of its own, which end with it.
                Mode::Training => norm.forward_t(x, true)?,
            }
        }
        Layer::GroupNorm { name, shape, groups } => {
            let eps = f64::from(BATCH_NORM_EPSILON);
            candle_nn::group_norm(*groups, shape[0], eps, weights.layer(name))?.forward(x)?
        }
        // candle's own relu has derivative 1 at 0; PyTorch and we have 0.
        Layer::Relu => (x * x.gt(0.0)?.to_dtype(x.dtype())?)?,
        Layer::Silu => x.silu()?,
        // A gradient of 0, and not none. (candle takes the number 0 for a cut, but not a tensor of zeros.)
        Layer::Round(rounding) => (round(x, *rounding)?.detach() + (x * x.zeros_like()?)?)?,
        Layer::MaxPool2d(geometry) => max_pool2d(x, geometry)?,
        Layer::AvgPool2d(g) => {
            let [height, width] = g.output();
            x.reshape((x.dims()[0], g.channels, height, g.window, width, g.window))?.mean((3, 5))?
        }
        Layer::Add => (x + pass.at(node.inputs[1]))?,
        Layer::Flatten(_) => x.flatten_from(1)?,
        Layer::Linear { name, geometry: g } => {
            candle_nn::linear(g.inputs, g.outputs, weights.layer(name))?.forward(x)?
        }
    })
}

/// As [`Rounding::apply`], which candle's own `round` is not at halves.
fn round(x: &Tensor, rounding: Rounding) -> Result<Tensor> {
    let down = x.floor()?;
    Ok(match rounding {
        Rounding::Down => down,
        Rounding::Up => x.ceil()?,
        Rounding::Nearest => {
            let above = (x - &down)?;
            let odd = (&down - ((&down * 0.5)?.floor()? * 2.0)?)?;
            let (more, half) = (above.gt(0.5)?.to_dtype(x.dtype())?, above.eq(0.5)?.to_dtype(x.dtype())?);
            ((down + more)? + (half * odd)?)?
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
