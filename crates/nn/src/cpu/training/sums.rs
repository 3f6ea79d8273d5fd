//! Gradients on weights, summed over images in their order.

use std::ops::Range;

use rayon::prelude::*;
use robin_kernels::aligned::Aligned;
use robin_kernels::conv2d::winograd;
use robin_kernels::conv2d::winograd::weight_gradient::{self, WeightGradient};
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::linear::order::Order;
use robin_kernels::{LANES, batch_norm, bias_gradient, conv2d, linear};

use super::super::layers::convolution_weights_to_torch;
use super::super::lower::{Operation, Step};
use super::super::share::{self, piece};
use super::super::slots::Slot;
use super::Training;
use super::chunk::{Chunk, inner_layout};
use crate::{Gradient, Gradients, NamedTensor};

/// One entry for each step.
pub(super) struct Sums {
    steps: Vec<Sum>,
    room: Room,
}

/// Buffers for one layer at a time; kept from layer to layer.
#[derive(Debug, Default)]
struct Room {
    gradient: Option<WeightGradient>,
    v: Aligned,
    z: Aligned,
}

#[derive(Default)]
struct Sum {
    weights: Aligned,
    /// Whether the weights' sums are of any value yet: those of a linear layer are set to 0 piece by piece, in the cache.
    unset: bool,
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
                    weights: Aligned::unset(from.pixels() * from.channels * to.channels),
                    unset: true,
                    bias: Aligned::zeros(to.channels),
                    ..Sum::default()
                },
                _ => Sum::default(),
            }
        };
        Self { steps: training.program.steps.iter().map(of).collect(), room: Room::default() }
    }

    /// Adds the gradients on a batch norm's weight and bias.
    pub(super) fn add_norm(&mut self, step: usize, sums: &batch_norm::Sums) {
        let sum = &mut self.steps[step];
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
        let Sum { weights, unset, bias, .. } = &mut self.steps[at];
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
                    add_winograd(geometry, &given, weights, &mut self.room);
                } else {
                    add_convolution(geometry, &given, weights);
                }
                // Before a batch norm a bias moves nothing: its gradient is 0.
                *bias && norm.is_none()
            }
            Operation::Linear { .. } => {
                add_linear(&given, weights, unset);
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
        let mut gradients: Vec<_> =
            trained.iter().map(|tensor| Gradient::unset(tensor.values.len())).collect();
        let of = |name: &str, part: &str| {
            let is_it = |tensor: &NamedTensor| {
                tensor.name.strip_suffix(part).and_then(|prefix| prefix.strip_suffix('.')) == Some(name)
            };
            trained.iter().position(is_it).expect("parameters were checked against the graph")
        };
        // Channels that fill up a vector have no parameter.
        let cut = |to: &mut [f32], sums: &[f32]| to.copy_from_slice(&sums[..to.len()]);
        let narrow = |to: &mut [f32], sums: &[f64]| {
            let sums = &sums[..to.len()];
            to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = sum as f32);
        };
        for (step, mut sum) in training.program.steps.iter().zip(self.steps) {
            if sum.unset {
                sum.weights.fill(0.0); // there was no image
            }
            let layouts = &training.program.layouts;
            match &step.operation {
                Operation::Conv2d { name, geometry, given, bias, norm, .. } => {
                    convolution_weights_to_torch(
                        geometry,
                        given,
                        &sum.weights,
                        &mut gradients[of(name, "weight")],
                    );
                    if *bias {
                        cut(&mut gradients[of(name, "bias")], &sum.bias);
                    }
                    if let Some(norm) = norm {
                        narrow(&mut gradients[of(norm, "weight")], &sum.norm_weight);
                        narrow(&mut gradients[of(norm, "bias")], &sum.norm_bias);
                    }
                }
                Operation::BatchNorm2d { name } => {
                    narrow(&mut gradients[of(name, "weight")], &sum.norm_weight);
                    narrow(&mut gradients[of(name, "bias")], &sum.norm_bias);
                }
                Operation::Linear { name, geometry } => {
                    let (order, columns) =
                        (Order::new(*geometry, layouts[step.input]), layouts[step.output].channels);
                    let blocks =
                        gradients[of(name, "weight")].par_chunks_mut(LANES * geometry.inputs).enumerate();
                    blocks.with_min_len(piece()).for_each(|(block, torch)| {
                        order.to_torch(Isa::detect(), &sum.weights, columns, block * LANES, torch);
                    });
                    cut(&mut gradients[of(name, "bias")], &sum.bias);
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
    /// The images from `first` on, at most `count`.
    fn some(&self, first: usize, count: usize) -> Self {
        Self {
            x: &self.x[first * self.from.image()..],
            dy: &self.dy[first * self.to.image()..],
            images: count.min(self.images - first),
            ..*self
        }
    }
}

/// The rows of weights `[rows, columns]` of each task.
fn cut<'a>(
    tasks: &[Range<usize>],
    columns: usize,
    mut weights: &'a mut [f32],
) -> Vec<(Range<usize>, &'a mut [f32])> {
    let mut rows = |task: &Range<usize>| {
        let (these, others) = std::mem::take(&mut weights).split_at_mut(task.len() * columns);
        weights = others;
        (task.clone(), these)
    };
    tasks.iter().map(&mut rows).collect()
}

/// Every thread has some of the tasks, and goes through the images once, some at a time, so that all its tasks meet them in
/// the cache: images are larger than weights.
fn add_convolution(g: &conv2d::Geometry, chunks: &[Given<'_>], weights: &mut [f32]) {
    let (tasks, together) = (conv2d::weight_gradient::tasks(g), conv2d::weight_gradient::images(g));
    let mut tasks = cut(&tasks, g.out_channels, weights);
    let each = tasks.len().div_ceil(share::threads()).max(1);
    tasks.par_chunks_mut(each).with_min_len(piece()).for_each(|tasks| {
        let mut scratch = conv2d::weight_gradient::Scratch::default();
        for chunk in chunks {
            for first in (0..chunk.images).step_by(together) {
                let Given { x, from, dy, to, images } = chunk.some(first, together);
                for (rows, weights) in &mut *tasks {
                    conv2d::weight_gradient::accumulate(
                        Isa::detect(),
                        g,
                        x,
                        from,
                        dy,
                        to,
                        images,
                        rows.clone(),
                        weights,
                        &mut scratch,
                    );
                }
            }
        }
    });
}

/// Task by task, with all images: weights are larger than images, and a task's stay in the cache until they are done. If they
/// are `unset`, the sums begin here.
fn add_linear(chunks: &[Given<'_>], weights: &mut [f32], unset: &mut bool) {
    let Some(Given { from, to, .. }) = chunks.first() else { return };
    let unset = std::mem::take(unset);
    let tasks = cut(&linear::weight_gradient::tasks(from), to.channels, weights);
    tasks.into_par_iter().with_min_len(piece()).for_each_init(
        linear::weight_gradient::Scratch::default,
        |scratch, (rows, weights)| {
            if unset {
                weights.fill(0.0);
            }
            for &Given { x, from, dy, to, images } in chunks {
                linear::weight_gradient::accumulate(
                    Isa::detect(),
                    x,
                    from,
                    dy,
                    to.channels,
                    images,
                    rows.clone(),
                    weights,
                    scratch,
                );
            }
        },
    );
}

/// The products of transformed inputs and gradients, some images at a time: these are transformed side by side, then
/// the products are taken side by side.
fn add_winograd(g: &conv2d::Geometry, chunks: &[Given<'_>], weights: &mut [f32], room: &mut Room) {
    let mut gradient = WeightGradient::new(Isa::detect(), *g, room.gradient.take());
    let [v_image, z_image] = gradient.transformed();
    let together = gradient.images();
    let Room { v, z, .. } = room;
    v.grow(together * v_image);
    z.grow(together * z_image);
    for &Given { x, from, dy, to, images } in chunks {
        for first in (0..images).step_by(together) {
            let count = together.min(images - first);
            let (v, z) = (&mut v[..count * v_image], &mut z[..count * z_image]);
            let each = v.par_chunks_exact_mut(v_image).zip(z.par_chunks_exact_mut(z_image)).enumerate();
            each.with_min_len(piece()).for_each(|(image, (v, z))| {
                let image = first + image;
                gradient.transform(x, from, dy, to, image..image + 1, v, z);
            });
            gradient.products_mut().par_iter_mut().with_min_len(piece()).for_each(|product| {
                product.accumulate(v, z, count, &mut weight_gradient::Scratch::default());
            });
        }
    }
    weights.iter_mut().zip(&*gradient.finish()).for_each(|(sum, part)| *sum += part);
    room.gradient = Some(gradient);
}
