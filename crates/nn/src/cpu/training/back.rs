//! The way back, layer by layer.

use rayon::prelude::*;
use robin_kernels::affine;
use robin_kernels::batch_norm::{self, Slopes, Statistics};
use robin_kernels::conv2d::packed::Directions;
use robin_kernels::finish::{Finish, Source};
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;

use super::super::apply::{Applied, Marks};
use super::super::layers::Layer;
use super::super::lower::{INPUT, Operation, Step};
use super::super::pass::{write, write_score_gradient};
use super::super::slots::{BackStep, Slot, Summand};
use super::super::workspace::with_scratch;
use super::chunk::Chunk;
use super::forward::normed;
use super::sums::Sums;
use super::{Batch, CHUNK, Normed, Training};

/// One step of the way back: where its gradients are and go.
#[derive(Clone, Copy)]
struct Through {
    step: usize,
    from: Slot,
    to: Slot,
    add: Summand,
    marks: Option<usize>,
}

impl Training<'_> {
    /// Adds the gradients on all weights for the gradient `[n, k]` on a batch's scores to `sums`.
    pub(super) fn back(&self, score_gradient: &[f32], batch: &mut Batch<'_>, sums: &mut Sums<'_>) {
        let outputs = self.program.graph.num_outputs();
        let layout = &self.program.layouts[self.program.output];
        for (chunk, rows) in batch.chunks.iter_mut().zip(score_gradient.chunks(CHUNK * outputs)) {
            write_score_gradient(rows, outputs, layout, &mut chunk.gradients[self.slots.output_gradient]);
        }
        for back in &self.slots.back {
            match *back {
                BackStep::Through { step, from, to, add, marks } => {
                    self.through(Through { step, from, to, add, marks }, batch, sums);
                }
                BackStep::Sum { value, from, to, add, marks } => {
                    let layout = &self.program.layouts[value];
                    batch.chunks.par_iter_mut().for_each(|chunk| {
                        let (images, marks) = (chunk.images, marks.map(|step| &chunk.marks[step]));
                        write(&mut chunk.gradients, to, add, marks, |buffers, mut dx| {
                            affine::copy(Isa::detect(), &buffers[from], layout, images, &mut dx);
                        });
                    });
                }
            }
        }
    }

    fn through(&self, through: Through, batch: &mut Batch<'_>, sums: &mut Sums<'_>) {
        let (at, step) = (through.step, &self.program.steps[through.step]);
        if let Some(Normed { statistics, .. }) = &batch.norms[at] {
            let to = &self.program.layouts[step.output];
            let layout = self.normed_layout(step);
            let parts: Vec<batch_norm::Sums> = batch
                .chunks
                .par_iter()
                .map(|chunk| {
                    let gradient = (chunk.marks[at].source(&chunk.gradients[through.from]), to);
                    let y = normed(at, step, chunk);
                    batch_norm::reduce(Isa::detect(), gradient, y, &layout, chunk.images, statistics)
                })
                .collect();
            let mut all = batch_norm::Sums::none(layout.channels);
            parts.iter().for_each(|part| all.join(part));
            sums.add_norm(at, &all);
            let norm = (statistics, &Slopes::of(&all, statistics));
            batch.chunks.par_iter_mut().for_each(|chunk| self.through_norm(through, &layout, norm, chunk));
            if matches!(step.operation, Operation::BatchNorm2d { .. }) {
                return;
            }
        } else if step.operation.is_pooled() {
            let (to, layout) = (&self.program.layouts[step.output], self.normed_layout(step));
            batch.chunks.par_iter_mut().for_each(|chunk| {
                let Marks::Windows(windows) = &chunk.marks[at] else {
                    unreachable!("a pooling step keeps windows")
                };
                let pooled = (&*chunk.gradients[through.from], windows.as_slice());
                affine::unpool(Isa::detect(), pooled, to, chunk.images, &layout, &mut chunk.inner[at]);
            });
        }
        sums.add_weights(self, at, through.from, batch.chunks);
        if step.input != INPUT {
            let layer = &*self.layer(at, Directions::Backward);
            batch.chunks.par_iter_mut().for_each(|chunk| self.to_input(through, step, layer, chunk));
        }
    }

    /// Back through a batch norm: onto what the convolution made, or onto the step's input.
    fn through_norm(
        &self,
        through: Through,
        layout: &Layout,
        norm: (&Statistics, &Slopes),
        chunk: &mut Chunk,
    ) {
        let (at, isa) = (through.step, Isa::detect());
        let step = &self.program.steps[at];
        let to = &self.program.layouts[step.output];
        if let Operation::Conv2d { .. } = step.operation {
            let gradient = (chunk.marks[at].source(&chunk.gradients[through.from]), to);
            let mut inner = Finish::open(&mut chunk.inner[at]);
            batch_norm::input_gradient(isa, gradient, None, layout, chunk.images, norm, &mut inner);
            return;
        }
        let (images, marks) = (chunk.images, through.marks.map(|step| &chunk.marks[step]));
        let y = &chunk.values[step.input];
        write(&mut chunk.gradients, through.to, through.add, marks, |buffers, mut dx| {
            let gradient = (Source::Dense(&buffers[through.from]), to);
            batch_norm::input_gradient(isa, gradient, Some(y), layout, images, norm, &mut dx);
        });
    }

    /// The gradient on a step's input, from that on what its layer made.
    fn to_input(&self, through: Through, step: &Step, layer: &Layer, chunk: &mut Chunk) {
        let at = through.step;
        let applied = Applied { program: self.program, step, layer };
        let (images, marks) = (chunk.images, through.marks.map(|step| &chunk.marks[step]));
        let inner = super::chunk::inner_layout(self.program, step).map(|layout| (layout, &chunk.inner[at]));
        let from = &self.program.layouts[step.input];
        write(&mut chunk.gradients, through.to, through.add, marks, |buffers, dx| {
            with_scratch(|scratch| match (inner, applied.layer) {
                (Some((layout, dy)), Layer::Conv2d(layer)) => {
                    let dy = Source::Dense(dy);
                    layer.packed.input_gradient(dy, &layout, images, from, dx, &mut scratch.conv2d);
                }
                _ => applied.backward(&buffers[through.from], &chunk.marks[at], images, dx, scratch),
            });
        });
    }
}
