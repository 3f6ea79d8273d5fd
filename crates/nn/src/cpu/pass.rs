//! Forward and backward pass of a network in eval mode, chunk by chunk.
//!
//! A chunk of images goes from the first layer to the last and back on one thread, so that no thread waits for another
//! within a pass. How images are cut into chunks follows from the number of threads; no result depends on it.

use std::sync::Arc;

use rayon::prelude::*;
use robin_kernels::affine;
use robin_kernels::aligned::Aligned;
use robin_kernels::epilogue::{Add, Epilogue, Gate};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;

use super::apply::{Applied, Masks};
use super::layers::Layers;
use super::lower::{INPUT, Program};
use super::share::{self, piece};
use super::slots::{BackStep, Slot, Slots, Summand};
use super::workspace::{self, Workspace};

/// Values of all slots together that one thread's chunk may have: 16 MB.
const CHUNK_VALUES: usize = 4 << 20;

/// A network in evaluation mode.
#[derive(Debug)]
pub(super) struct EvalNetwork {
    pub(super) program: Arc<Program>,
    pub(super) slots: Arc<Slots>,
    pub(super) layers: Layers,
    /// Mean and standard deviation of each input channel, if the network normalises.
    pub(super) normalize: Option<[Vec<f32>; 2]>,
    /// What the products of `layers` multiply.
    pub(super) factors: Factors,
}

/// What the chunks of one forward pass kept.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Images of each chunk but perhaps the last.
    chunk: usize,
    /// For each chunk, one entry a step.
    masks: Vec<Vec<Masks>>,
}

impl EvalNetwork {
    /// Scores `[n, k]` of `images` `[n, c, h, w]`; `trace` is filled if there is one.
    pub(super) fn forward(&self, images: &[f32], trace: Option<&mut Trace>) -> Vec<f32> {
        let length = self.program.graph.input_shape().iter().product::<usize>();
        let outputs = self.program.graph.num_outputs();
        let n = images.len() / length;
        let chunk = self.chunk(n);
        let mut scores = vec![0.0; n * outputs];
        let chunks = scores.par_chunks_mut(chunk * outputs).zip(images.par_chunks(chunk * length));
        let chunks = chunks.with_min_len(piece());
        match trace {
            None => chunks.for_each(|(scores, images)| self.forward_chunk(images, None, scores)),
            Some(trace) => {
                trace.chunk = chunk;
                trace.masks.resize_with(n.div_ceil(chunk), Vec::new);
                let chunks = chunks.zip(&mut trace.masks);
                chunks.for_each(|((scores, images), masks)| self.forward_chunk(images, Some(masks), scores));
            }
        }
        scores
    }

    /// Images of a chunk: as many as the caches and the products like, and for every thread as many.
    fn chunk(&self, n: usize) -> usize {
        let most = (CHUNK_VALUES / self.slots.len_of_image()).clamp(4, 64);
        let most = most.next_multiple_of(self.factors.images_together());
        let threads = share::threads();
        let chunks = n.div_ceil(most).next_multiple_of(threads).max(1);
        n.div_ceil(chunks).max(1)
    }

    fn forward_chunk(&self, images: &[f32], mut masks: Option<&mut Vec<Masks>>, scores: &mut [f32]) {
        let Self { program, slots, .. } = self;
        let [c, h, w] = program.graph.input_shape();
        let count = images.len() / (c * h * w);
        if let Some(masks) = &mut masks {
            masks.resize_with(program.steps.len(), Masks::default);
            for (step, masks) in program.steps.iter().zip(masks.iter_mut()) {
                masks.make_room(step, &program.layouts[step.output], count);
            }
        }
        workspace::with(&slots.layouts, count, |Workspace { slots: buffers, scratch, .. }| {
            let input = &mut buffers[slots.values[INPUT]];
            read_images(images, [c, h, w], self.normalize.as_ref(), &program.layouts[INPUT], input);
            for (at, (step, layer)) in program.steps.iter().zip(&self.layers).enumerate() {
                let to = slots.values[step.output];
                let mut output = std::mem::take(&mut buffers[to]);
                let (mut none, mut all) = (Masks::Nothing, masks.as_deref_mut());
                let masks = all.as_mut().map_or(&mut none, |masks| &mut masks[at]);
                let add = step.add.map(|add| &*buffers[slots.values[add]]);
                let x = &buffers[slots.values[step.input]];
                Applied { program, step, layer }.forward(x, add, count, &mut output, masks, scratch);
                buffers[to] = output;
            }
            let (layout, output) = (program.layouts[program.output], &buffers[slots.values[program.output]]);
            read_scores(output, &layout, program.graph.num_outputs(), scores);
        });
    }

    /// Gradient `[n, c, h, w]` on the images for the gradient `[n, k]` on the scores.
    pub(super) fn backward(&self, trace: &Trace, score_gradient: &[f32]) -> Vec<f32> {
        let length = self.program.graph.input_shape().iter().product::<usize>();
        let outputs = self.program.graph.num_outputs();
        let mut gradient = vec![0.0; score_gradient.len() / outputs * length];
        let rows = score_gradient.par_chunks(trace.chunk.max(1) * outputs);
        let chunks = gradient.par_chunks_mut(trace.chunk.max(1) * length).zip(rows).zip(&trace.masks);
        chunks
            .with_min_len(piece())
            .for_each(|((gradient, rows), masks)| self.backward_chunk(masks, rows, gradient));
        gradient
    }

    fn backward_chunk(&self, masks: &[Masks], score_gradient: &[f32], gradient: &mut [f32]) {
        let Self { program, slots, .. } = self;
        let outputs = program.graph.num_outputs();
        let count = score_gradient.len() / outputs;
        workspace::with(&slots.layouts, count, |Workspace { slots: buffers, scratch, .. }| {
            let layout = program.layouts[program.output];
            write_score_gradient(score_gradient, outputs, &layout, &mut buffers[slots.output_gradient]);
            if self.factors != Factors::F32 {
                let rows = buffers[slots.output_gradient].chunks_exact_mut(layout.image());
                for (row, given) in rows.zip(score_gradient.chunks_exact(outputs)) {
                    multiply(row, unit_scale(given)[0]);
                }
            }
            for back in &slots.back {
                match back {
                    BackStep::Through { step, from, to, add, masks: through } => {
                        let applied =
                            Applied { program, step: &program.steps[*step], layer: &self.layers[*step] };
                        write(buffers, *to, *add, through.map(|step| &masks[step]), |buffers, dx| {
                            applied.backward(&buffers[*from], &masks[*step], count, dx, scratch);
                        });
                    }
                    BackStep::Sum { value, from, to, add, masks: through } => {
                        let layout = &program.layouts[*value];
                        write(buffers, *to, *add, through.map(|step| &masks[step]), |buffers, mut dx| {
                            affine::copy(Isa::detect(), &buffers[*from], layout, count, &mut dx);
                        });
                    }
                }
            }
            let std = self.normalize.as_ref().map(|[_, std]| std.as_slice());
            let input = &buffers[slots.input_gradient];
            write_gradient(input, &program.layouts[INPUT], program.graph.input_shape(), std, gradient);
            if self.factors != Factors::F32 {
                let images = gradient.chunks_exact_mut(gradient.len() / count);
                for (image, given) in images.zip(score_gradient.chunks_exact(outputs)) {
                    multiply(image, unit_scale(given)[1]);
                }
            }
        });
    }
}

fn multiply(values: &mut [f32], factor: f32) {
    values.iter_mut().for_each(|value| *value *= factor);
}

/// The power of two that brings the largest gradient on an image's scores to between 1 and 2, and the one that takes it back. Rounding
/// to bf16 makes what is tiny 0, and the gradients of images whose class is beyond doubt are tiny. Both powers are normal numbers, so
/// nothing is lost by either; gradients of 0, or that are no numbers, stay.
fn unit_scale(gradient: &[f32]) -> [f32; 2] {
    let largest = gradient.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return [1.0; 2];
    }
    let exponent = ((largest.to_bits() >> 23) as i32 - 127).clamp(-126, 126);
    [-exponent, exponent].map(|exponent| f32::from_bits(((127 + exponent) as u32) << 23))
}

/// Scores `[n, outputs]` out of their layout.
pub(super) fn read_scores(values: &[f32], layout: &Layout, outputs: usize, scores: &mut [f32]) {
    for (scores, row) in scores.chunks_exact_mut(outputs).zip(values.chunks_exact(layout.image())) {
        scores.copy_from_slice(&row[..outputs]);
    }
}

/// The gradient `[n, outputs]` on scores into their layout.
pub(super) fn write_score_gradient(given: &[f32], outputs: usize, layout: &Layout, to: &mut [f32]) {
    for (row, given) in to.chunks_exact_mut(layout.image()).zip(given.chunks_exact(outputs)) {
        // Columns that fill up a vector belong to no score.
        row.fill(0.0);
        row[..outputs].copy_from_slice(given);
    }
}

/// Calls `work` with the other buffers and a finish into slot `to`.
pub(super) fn write(
    buffers: &mut [Aligned],
    to: Slot,
    add: Summand,
    through: Option<&Masks>,
    work: impl FnOnce(&[Aligned], Epilogue<'_>),
) {
    let mut output = std::mem::take(&mut buffers[to]);
    let finish = Epilogue {
        output: &mut output,
        bias: None,
        add: match add {
            Summand::Nothing => Add::Nothing,
            Summand::Destination => Add::Output,
            Summand::Slot(slot) => Add::Values(&buffers[slot]),
        },
        gate: through.map_or(Gate::Open, |masks| Gate::Masked(masks.rectified())),
    };
    work(buffers, finish);
    buffers[to] = output;
}

/// Images `[n, c, h, w]`, normalised, into their layout.
pub(super) fn read_images(
    images: &[f32],
    [c, h, w]: [usize; 3],
    normalize: Option<&[Vec<f32>; 2]>,
    layout: &Layout,
    to: &mut [f32],
) {
    for (image, to) in images.chunks_exact(c * h * w).zip(to.chunks_exact_mut(layout.image())) {
        if layout.channels > c {
            // Another value of this layout may have left something in the channels that fill up a vector.
            to.fill(0.0);
        }
        for (channel, plane) in image.chunks_exact(h * w).enumerate() {
            let (mean, std) = normalize.map_or((0.0, 1.0), |[mean, std]| (mean[channel], std[channel]));
            for (row, values) in plane.chunks_exact(w).enumerate() {
                let to = &mut to[layout.pixel(row, 0) + channel..];
                for (to, value) in to.iter_mut().step_by(layout.channels).zip(values) {
                    *to = (value - mean) / std;
                }
            }
        }
    }
}

/// The gradient on normalised images in their layout as one on the images `[n, c, h, w]`.
pub(super) fn write_gradient(
    gradient: &[f32],
    layout: &Layout,
    [c, h, w]: [usize; 3],
    std: Option<&[f32]>,
    to: &mut [f32],
) {
    for (image, to) in gradient.chunks_exact(layout.image()).zip(to.chunks_exact_mut(c * h * w)) {
        for (channel, plane) in to.chunks_exact_mut(h * w).enumerate() {
            let std = std.map_or(1.0, |std| std[channel]);
            for (row, values) in plane.chunks_exact_mut(w).enumerate() {
                let from = &image[layout.pixel(row, 0) + channel..];
                for (value, gradient) in values.iter_mut().zip(from.iter().step_by(layout.channels)) {
                    *value = gradient / std;
                }
            }
        }
    }
}
