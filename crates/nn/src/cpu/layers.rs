//! A program's parameters as the kernels want them.

use std::sync::Arc;

use rayon::prelude::*;
use robin_kernels::LANES;
use robin_kernels::affine::Affine;
use robin_kernels::aligned::Aligned;
use robin_kernels::batch_norm::Statistics;
use robin_kernels::conv2d::packed::{Directions, Gradients};
use robin_kernels::conv2d::{self, Geometry};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::linear::order::Order;
use robin_kernels::linear::packed;

use super::lower::{Operation, Program, Step};
use super::share::{self, piece};
use crate::Parameters;

/// One step's parameters, packed once.
#[derive(Debug)]
pub(super) enum Layer {
    Conv2d(Box<Convolution>),
    /// Multiplication and addition per channel.
    Affine(Affine),
    Linear {
        packed: packed::Packed,
        bias: Aligned,
    },
    /// The step has none.
    Plain,
}

/// A convolution's weights for both directions.
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) packed: conv2d::packed::Packed,
    pub(super) bias: Option<Aligned>,
}

/// Of every step, those of a network and of its classifiers in eval mode shared where they are the same.
pub(super) type Layers = Vec<Arc<Layer>>;

/// Whether batch norms after a convolution are part of its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Norms {
    /// With the running statistics: evaluation.
    Folded,
    /// Training: each batch has statistics of its own.
    Apart,
}

/// Packs the parameters of every step for evaluation, and for products of `factors`.
pub(super) fn folded(program: &Program, parameters: &Parameters, factors: Factors) -> Layers {
    let source = Source { program, parameters, factors };
    program
        .steps
        .par_iter()
        .with_min_len(piece())
        .map(|step| Arc::new(source.layer(step, Norms::Folded, Directions::Both)))
        .collect()
}

/// Packs one step's parameters for training.
pub(super) fn apart(
    program: &Program,
    parameters: &Parameters,
    step: &Step,
    directions: Directions,
) -> Layer {
    Source { program, parameters, factors: Factors::F32 }.layer(step, Norms::Apart, directions)
}

/// What of `folded` is the same in training; the rest is let go.
pub(super) fn shared(program: &Program, folded: Layers) -> Vec<Option<Arc<Layer>>> {
    let same = |step: &Step| !program.has_sparse_gradient(step) && !step.operation.has_norm();
    program.steps.iter().zip(folded).map(|(step, layer)| same(step).then_some(layer)).collect()
}

struct Source<'a> {
    program: &'a Program,
    parameters: &'a Parameters,
    factors: Factors,
}

impl Source<'_> {
    fn values(&self, name: &str, part: &str) -> &[f32] {
        let tensor = self.parameters.get(&format!("{name}.{part}"));
        &tensor.expect("parameters were checked against the graph").values
    }

    fn layer(&self, step: &Step, norms: Norms, directions: Directions) -> Layer {
        let isa = Isa::detect();
        match &step.operation {
            Operation::Conv2d { name, geometry, given, bias, norm, .. } => {
                let bias = bias.then(|| self.values(name, "bias"));
                let norm = norm.as_ref().filter(|_| norms == Norms::Folded).map(|norm| self.affine(norm));
                let folded = fold(self.values(name, "weight"), bias, norm.as_ref());
                // A batch norm apart from the weights spreads the gradient over all outputs again.
                let sparse = norms == Norms::Folded && self.program.has_sparse_gradient(step);
                let gradients = if sparse { Gradients::Sparse } else { Gradients::Dense };
                let bias = folded.bias.as_ref().map(|bias| padded(bias, geometry.out_channels));
                let weights = convolution_weights(geometry, given, &folded);
                let packed = conv2d::packed::Packed::new(
                    isa,
                    *geometry,
                    &weights,
                    gradients,
                    directions,
                    self.factors,
                );
                Layer::Conv2d(Box::new(Convolution { packed, bias }))
            }
            Operation::BatchNorm2d { name } => Layer::Affine(self.affine(name)),
            Operation::Normalize { name } => {
                let (mean, std) = (self.values(name, "mean"), self.values(name, "std"));
                let scale: Vec<f32> = std.iter().map(|std| 1.0 / std).collect();
                let shift: Vec<f32> = mean.iter().zip(&scale).map(|(mean, scale)| -mean * scale).collect();
                Layer::Affine(Affine::new(&scale, &shift))
            }
            Operation::Linear { name, geometry } => {
                let (from, to) = (self.program.layouts[step.input], self.program.layouts[step.output]);
                let bias = self.values(name, "bias");
                let weights = self.values(name, "weight");
                let order = Order::new(*geometry, from);
                // Side by side: such a layer may have most of a network's weights.
                let forward = || order.forward(isa, weights);
                let (forward, backward) = share::join(forward, || order.backward(isa, to.channels, weights));
                let packed = packed::Packed::from_panels(from, forward, backward);
                let packed = packed.rounded(self.factors);
                Layer::Linear { packed, bias: padded(bias, to.channels) }
            }
            Operation::Round(_) => {
                // What the way back multiplies with.
                let zeros = vec![0.0; self.program.layouts[step.input].channels];
                Layer::Affine(Affine::new(&zeros, &zeros))
            }
            Operation::MaxPool2d(_)
            | Operation::AvgPool2d(_)
            | Operation::Flatten { .. }
            | Operation::Copy => Layer::Plain,
        }
    }

    /// A batch norm with its running statistics.
    fn affine(&self, name: &str) -> Affine {
        let [weight, bias, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|part| self.values(name, part));
        let statistics = Statistics::running(weight, bias, mean, variance);
        Affine::new(&statistics.scale, &statistics.shift)
    }
}

/// Values with zeros behind them.
pub(super) fn padded(values: &[f32], len: usize) -> Aligned {
    let mut padded = Aligned::zeros(len);
    padded[..values.len()].copy_from_slice(values);
    padded
}

/// A convolution's parameters in PyTorch's order, with a factor for each output channel.
struct Folded<'a> {
    weights: &'a [f32],
    scale: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
}

/// `norm(conv(x)) = scale (w x + bias) + shift`, as a convolution with other weights and bias.
fn fold<'a>(weights: &'a [f32], bias: Option<&[f32]>, norm: Option<&Affine>) -> Folded<'a> {
    let Some(norm) = norm else { return Folded { weights, scale: None, bias: bias.map(<[f32]>::to_vec) } };
    let (scale, shift) = (norm.scale(), norm.shift());
    let bias = match bias {
        Some(bias) => bias.iter().zip(scale).zip(shift).map(|((b, a), s)| b * a + s).collect(),
        None => shift.to_vec(),
    };
    Folded { weights, scale: Some(scale.to_vec()), bias: Some(bias) }
}

/// PyTorch's `[out, in, kernel, kernel]` as `[kernel, kernel, in, out]`, with channels filled up by zeros.
fn convolution_weights(g: &Geometry, given: &Geometry, folded: &Folded<'_>) -> Aligned {
    let mut ours = Aligned::zeros(g.taps() * g.out_channels);
    for_each_weight(g, given, |torch, at| ours[at] = folded.weights[torch]);
    if let Some(scale) = &folded.scale {
        for row in ours.chunks_exact_mut(g.out_channels) {
            row.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
        }
    }
    ours
}

/// The inverse of [`convolution_weights`] without a scale, for gradients.
pub(super) fn convolution_weights_to_torch(g: &Geometry, given: &Geometry, ours: &[f32], torch: &mut [f32]) {
    for_each_weight(g, given, |at, from| torch[at] = ours[from]);
}

/// Calls `visit(place in PyTorch's tensor, place in ours)` for every weight.
fn for_each_weight(g: &Geometry, given: &Geometry, mut visit: impl FnMut(usize, usize)) {
    let area = g.kernel * g.kernel;
    // Sixteen outputs at a time: their lines are touched once.
    for first in (0..given.out_channels).step_by(LANES) {
        for c in 0..given.in_channels {
            for tap in 0..area {
                let ours = (tap * g.in_channels + c) * g.out_channels;
                for o in first..given.out_channels.min(first + LANES) {
                    visit((o * given.in_channels + c) * area + tap, ours + o);
                }
            }
        }
    }
}
