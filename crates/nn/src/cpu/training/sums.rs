//! Gradients on weights, summed over images in their order.

use rayon::prelude::*;
use robin_kernels::aligned::Aligned;
use robin_kernels::conv2d::winograd::weight_gradient::{self, WeightGradient};
use robin_kernels::conv2d::winograd;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::{batch_norm, bias_gradient, conv2d, linear};

use super::super::layers::{convolution_weights_to_torch, linear_weights_to_torch};
use super::super::lower::{Operation, Step};
use super::super::slots::Slot;
use super::Training;
use super::chunk::{Chunk, inner_layout};
use crate::{Gradients, NamedTensor};

/// One entry for each step.
pub(super) struct Sums(Vec<Sum>);

#[derive(Default)]
struct Sum {
    weights: Aligned,
    bias: Aligned,
    norm_weight: Vec<f64>,
    norm_bias: Vec<f64>,
}

impl Sums {
    pub(super) fn new(training: &Training<'_>) -> Self {
        let of = |step: &Step| {
            let (from, to) = (training.program.layouts[step.input], training.program.layouts[step.output]);
            match &step.operation {
                Operation::Conv2d { geometry: g, .. } => Sum {
                    weights: Aligned::zeros(g.taps() * g.out_channels),
                    bias: Aligned::zeros(g.out_channels),
                    ..Sum::default()
                },
                Operation::Linear { .. } => Sum {
                    weights: Aligned::zeros(from.pixels() * from.channels * to.channels),
                    bias: Aligned::zeros(to.channels),
                    ..Sum::default()
                },
                _ => Sum::default(),
            }
        };
        Self(training.program.steps.iter().map(of).collect())
    }

    /// Adds the gradients on a batch norm's weight and bias.
    pub(super) fn add_norm(&mut self, step: usize, sums: &batch_norm::Sums) {
        let sum = &mut self.0[step];
        for (total, part) in [(&mut sum.norm_weight, &sums.product), (&mut sum.norm_bias, &sums.gradient)] {
            total.resize(part.len(), 0.0);
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    }

    /// Adds the gradients on the weights of step `at`, whose output gradients are in slot `from`, or in the chunks'
    /// inner buffers.
    pub(super) fn add_weights(&mut self, training: &Training<'_>, at: usize, from: Slot, chunks: &[Chunk]) {
        let (program, step) = (training.program, &training.program.steps[at]);
        let x = &program.layouts[step.input];
        let inner = inner_layout(program, step);
        let to = inner.unwrap_or(program.layouts[step.output]);
        let Sum { weights, bias, .. } = &mut self.0[at];
        let given: Vec<Given<'_>> = chunks
            .iter()
            .map(|chunk| {
                let dy = if inner.is_some() { &chunk.inner[at] } else { &chunk.gradients[from] };
                Given { x: &chunk.values[step.input], from: x, dy, to: &to, images: chunk.images }
            })
            .collect();
        let has_bias = match &step.operation {
            Operation::Conv2d { geometry, norm, bias, .. } => {
                if winograd::supports(geometry) {
                    add_winograd(geometry, &given, weights);
                } else {
                    given.iter().for_each(|given| given.add_convolution(geometry, weights));
                }
                // Before a batch norm a bias moves nothing: its gradient is 0.
                *bias && norm.is_none()
            }
            Operation::Linear { .. } => {
                given.iter().for_each(|given| given.add_linear(weights));
                true
            }
            _ => false,
        };
        if has_bias {
            for given in &given {
                bias_gradient::accumulate(Isa::detect(), given.dy, &to, given.images, bias);
            }
        }
    }

    /// The gradients in the order of the trained tensors, as PyTorch has them.
    pub(super) fn finish(self, training: &Training<'_>) -> Gradients {
        let trained = &training.parameters.trained;
        let mut gradients: Vec<Vec<f32>> = vec![Vec::new(); trained.len()];
        let mut put = |name: &str, part: &str, values: Vec<f32>| {
            let is_it = |tensor: &NamedTensor| {
                tensor.name.strip_suffix(part).and_then(|prefix| prefix.strip_suffix('.')) == Some(name)
            };
            let at = trained.iter().position(is_it).expect("parameters were checked against the graph");
            gradients[at] = values[..trained[at].values.len()].to_vec();
        };
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        for (step, sum) in training.program.steps.iter().zip(self.0) {
            let layouts = &training.program.layouts;
            match &step.operation {
                Operation::Conv2d { name, geometry, given, bias, norm, .. } => {
                    put(name, "weight", convolution_weights_to_torch(geometry, given, &sum.weights));
                    if *bias {
                        put(name, "bias", sum.bias.to_vec());
                    }
                    if let Some(norm) = norm {
                        put(norm, "weight", narrow(sum.norm_weight));
                        put(norm, "bias", narrow(sum.norm_bias));
                    }
                }
                Operation::BatchNorm2d { name } => {
                    put(name, "weight", narrow(sum.norm_weight));
                    put(name, "bias", narrow(sum.norm_bias));
                }
                Operation::Linear { name, geometry } => {
                    let (from, outputs) = (&layouts[step.input], layouts[step.output].channels);
                    put(name, "weight", linear_weights_to_torch(geometry, from, outputs, &sum.weights));
                    put(name, "bias", sum.bias.to_vec());
                }
                _ => {}
            }
        }
        Gradients(gradients)
    }
}

/// A layer's input and the gradient on its output, for some images.
#[derive(Clone, Copy)]
struct Given<'a> {
    x: &'a [f32],
    from: &'a Layout,
    dy: &'a [f32],
    to: &'a Layout,
    images: usize,
}

impl Given<'_> {
    fn add_convolution(&self, g: &conv2d::Geometry, weights: &mut [f32]) {
        let Self { x, from, dy, to, images } = *self;
        let tasks = cut(weights, &conv2d::weight_gradient::tasks(g), g.out_channels);
        tasks.into_par_iter().for_each(|(rows, weights)| {
            let mut scratch = conv2d::weight_gradient::Scratch::default();
            conv2d::weight_gradient::accumulate(
                Isa::detect(), g, x, from, dy, to, images, rows, weights, &mut scratch,
            );
        });
    }

    fn add_linear(&self, weights: &mut [f32]) {
        let Self { x, from, dy, to, images } = *self;
        let tasks = cut(weights, &linear::weight_gradient::tasks(from), to.channels);
        tasks.into_par_iter().for_each(|(rows, weights)| {
            let mut scratch = linear::weight_gradient::Scratch::default();
            linear::weight_gradient::accumulate(
                Isa::detect(), x, from, dy, to.channels, images, rows, weights, &mut scratch,
            );
        });
    }
}

/// The products of transformed inputs and gradients, some images at a time: these are transformed side by side, then
/// the 36 products are taken side by side.
fn add_winograd(g: &conv2d::Geometry, chunks: &[Given<'_>], weights: &mut [f32]) {
    let mut gradient = WeightGradient::new(Isa::detect(), *g);
    let [v_image, z_image] = gradient.transformed();
    let together = gradient.images();
    let (mut v, mut z) = (Aligned::zeros(together * v_image), Aligned::zeros(together * z_image));
    for &Given { x, from, dy, to, images } in chunks {
        for first in (0..images).step_by(together) {
            let count = together.min(images - first);
            let (v, z) = (&mut v[..count * v_image], &mut z[..count * z_image]);
            let each = v.par_chunks_exact_mut(v_image).zip(z.par_chunks_exact_mut(z_image)).enumerate();
            each.for_each(|(image, (v, z))| {
                let image = first + image;
                gradient.transform(x, from, dy, to, image..image + 1, v, z);
            });
            gradient.products_mut().par_iter_mut().for_each(|product| {
                product.accumulate(v, z, count, &mut weight_gradient::Scratch::default());
            });
        }
    }
    weights.iter_mut().zip(gradient.finish()).for_each(|(sum, part)| *sum += part);
}

/// Each task with its rows of a matrix of `columns` columns.
fn cut<'a>(
    mut matrix: &'a mut [f32],
    tasks: &[std::ops::Range<usize>],
    columns: usize,
) -> Vec<(std::ops::Range<usize>, &'a mut [f32])> {
    let mut pieces = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (piece, rest) = matrix.split_at_mut(task.len() * columns);
        pieces.push((task.clone(), piece));
        matrix = rest;
    }
    pieces
}
