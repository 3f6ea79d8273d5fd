//! Gradients on weights, summed over images in their order.

use std::ops::Range;

use rayon::prelude::*;
use robin_kernels::aligned::Aligned;
use robin_kernels::conv2d::winograd;
use robin_kernels::conv2d::winograd::weight_gradient::{self, WeightGradient};
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
        let Sum { weights, bias, .. } = &mut self.steps[at];
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
                add_linear(&given, weights);
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
        let mut put = |name: &str, part: &str, mut values: Vec<f32>| {
            let is_it = |tensor: &NamedTensor| {
                tensor.name.strip_suffix(part).and_then(|prefix| prefix.strip_suffix('.')) == Some(name)
            };
            let at = trained.iter().position(is_it).expect("parameters were checked against the graph");
            // Channels that fill up a vector have no parameter.
            values.truncate(trained[at].values.len());
            gradients[at] = values;
        };
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
        for (step, sum) in training.program.steps.iter().zip(self.steps) {
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
    let each = tasks.len().div_ceil(rayon::current_num_threads()).max(1);
    tasks.par_chunks_mut(each).for_each(|tasks| {
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

/// Task by task, with all images: weights are larger than images, and a task's stay in the cache until they are done.
fn add_linear(chunks: &[Given<'_>], weights: &mut [f32]) {
    let Some(Given { from, to, .. }) = chunks.first() else { return };
    let tasks = cut(&linear::weight_gradient::tasks(from), to.channels, weights);
    tasks.into_par_iter().for_each_init(
        linear::weight_gradient::Scratch::default,
        |scratch, (rows, weights)| {
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
            each.for_each(|(image, (v, z))| {
                let image = first + image;
                gradient.transform(x, from, dy, to, image..image + 1, v, z);
            });
            gradient.products_mut().par_iter_mut().for_each(|product| {
                product.accumulate(v, z, count, &mut weight_gradient::Scratch::default());
            });
        }
    }
    weights.iter_mut().zip(&*gradient.finish()).for_each(|(sum, part)| *sum += part);
    room.gradient = Some(gradient);
}
