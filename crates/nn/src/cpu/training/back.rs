//! The way back, layer by layer.

use rayon::prelude::*;
use robin_kernels::affine;
use robin_kernels::batch_norm::{self, Slopes, Statistics};
use robin_kernels::conv2d::packed::Directions;
use robin_kernels::epilogue::{Epilogue, Source};
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;

use super::super::apply::{Applied, Masks};
use super::super::layers::Layer;
use super::super::lower::{INPUT, Operation, Step, ValueId};
use super::super::pass::{write, write_score_gradient};
use super::super::share::piece;
use super::super::slots::{BackStep, Slot, Summand};
use super::super::workspace::with_scratch;
use super::chunk::{Chunk, inner_layout};
use super::forward::normed;
use super::lifetimes::{Done, is_cheap, made_by};
use super::{Batch, CHUNK, Normed, Training, Wanted};

/// One step of the way back: where its gradients are and go.
#[derive(Clone, Copy)]
struct Through {
    step: usize,
    from: Slot,
    to: Slot,
    add: Summand,
    masks: Option<usize>,
}

impl Training<'_> {
    /// The gradients that are `wanted` for the gradient `[n, k]` on a batch's scores.
    pub(super) fn back(&self, score_gradient: &[f32], batch: &mut Batch<'_>, wanted: &mut Wanted<'_>) {
        let outputs = self.program.graph.num_outputs();
        let layout = &self.program.layouts[self.program.output];
        for (chunk, rows) in batch.chunks.iter_mut().zip(score_gradient.chunks(CHUNK * outputs)) {
            chunk.gradients[self.slots.output_gradient] = chunk.take(layout);
            write_score_gradient(rows, outputs, layout, &mut chunk.gradients[self.slots.output_gradient]);
        }
        for (back, done) in self.slots.back.iter().zip(&self.lifetimes.back) {
            match *back {
                BackStep::Through { step, from, to, add, masks } => {
                    self.through(Through { step, from, to, add, masks }, done, batch, wanted);
                }
                BackStep::Sum { value, from, to, add, masks } => {
                    let layout = &self.program.layouts[value];
                    batch.chunks.par_iter_mut().with_min_len(piece()).for_each(|chunk| {
                        chunk.open_gradient(self.slots, to);
                        let (images, masks) = (chunk.images, masks.map(|step| &chunk.masks[step]));
                        write(&mut chunk.gradients, to, add, masks, |buffers, mut dx| {
                            affine::copy(Isa::detect(), &buffers[from], layout, images, &mut dx);
                        });
                    });
                }
            }
            self.drop_values(done, batch);
            self.drop_gradients(done, batch, wanted);
        }
    }

    fn drop_values(&self, done: &Done, batch: &mut Batch<'_>) {
        for chunk in batch.chunks.iter_mut() {
            done.values.iter().for_each(|&value| chunk.drop_value(self.program, value));
        }
    }

    fn drop_gradients(&self, done: &Done, batch: &mut Batch<'_>, wanted: &Wanted<'_>) {
        // Whatever else was in that slot before, the gradient on the images is written over it.
        let is_kept = |slot| matches!(wanted, Wanted::Images) && slot == self.slots.input_gradient;
        for chunk in batch.chunks.iter_mut() {
            let done = done.gradients.iter().filter(|slot| !is_kept(**slot));
            done.for_each(|&slot| chunk.drop_gradient(self.slots, slot));
        }
    }

    /// Makes what the convolution of step `at` made before its batch norm, unless it is there.
    fn inner_again(&self, at: usize, batch: &mut Batch<'_>) {
        let step = &self.program.steps[at];
        if batch.chunks.first().is_none_or(|chunk| !chunk.inner[at].is_empty()) {
            return;
        }
        self.value_again(step.input, batch);
        let layer = &*self.layer(at, Directions::Forward);
        batch
            .chunks
            .par_iter_mut()
            .with_min_len(piece())
            .for_each(|chunk| self.convolve_bare(at, step, layer, chunk));
    }

    /// Makes `value` behind a batch norm, unless it is there.
    fn value_again(&self, value: ValueId, batch: &mut Batch<'_>) {
        if batch.chunks.first().is_none_or(|chunk| !chunk.values[value].is_empty()) {
            return;
        }
        let at = made_by(self.program, value).expect("the way forward kept the images");
        let step = &self.program.steps[at];
        match step.operation {
            Operation::Conv2d { .. } => self.inner_again(at, batch),
            _ => self.value_again(step.input, batch),
        }
        let Some(Normed { statistics, .. }) = &batch.norms[at] else {
            unreachable!("the way forward kept values without a batch norm")
        };
        batch.chunks.par_iter_mut().with_min_len(piece()).for_each(|chunk| {
            self.normalize(at, step, statistics, chunk);
            if is_cheap(step) {
                chunk.drop_inner(self.program, at);
            }
        });
    }

    /// Through a step; what is `done` with it is let go as early as it can be.
    fn through(&self, through: Through, done: &Done, batch: &mut Batch<'_>, wanted: &mut Wanted<'_>) {
        let (at, step) = (through.step, &self.program.steps[through.step]);
        match step.operation {
            Operation::Conv2d { norm: Some(_), .. } => self.inner_again(at, batch),
            Operation::Conv2d { .. } | Operation::Linear { .. } | Operation::BatchNorm2d { .. } => {
                self.value_again(step.input, batch);
            }
            _ => {}
        }
        if let Some(Normed { statistics, .. }) = &batch.norms[at] {
            let to = &self.program.layouts[step.output];
            let layout = self.normed_layout(step);
            let parts: Vec<batch_norm::Sums> = batch
                .chunks
                .par_iter()
                .with_min_len(piece())
                .map(|chunk| {
                    let gradient = (chunk.masks[at].source(&chunk.gradients[through.from]), to);
                    let y = normed(at, step, chunk);
                    batch_norm::reduce(Isa::detect(), gradient, y, &layout, chunk.images, statistics)
                })
                .collect();
            let mut all = batch_norm::Sums::none(layout.channels);
            parts.iter().for_each(|part| all.join(part));
            if let Wanted::Weights(sums) = wanted {
                sums.add_norm(at, &all);
            }
            let norm = (statistics, &Slopes::of(&all, statistics));
            batch
                .chunks
                .par_iter_mut()
                .with_min_len(piece())
                .for_each(|chunk| self.through_norm(through, &layout, norm, chunk));
            if matches!(step.operation, Operation::BatchNorm2d { .. }) {
                return;
            }
        } else if step.operation.is_pooled() {
            let (to, layout) = (&self.program.layouts[step.output], self.normed_layout(step));
            batch.chunks.par_iter_mut().with_min_len(piece()).for_each(|chunk| {
                let mut inner = chunk.take(&layout);
                let Masks::Windows(windows) = &chunk.masks[at] else {
                    unreachable!("a pooling step keeps windows")
                };
                let pooled = (&*chunk.gradients[through.from], windows.as_slice());
                affine::unpool(Isa::detect(), pooled, to, chunk.images, &layout, &mut inner);
                chunk.inner[at] = inner;
            });
        }
        if inner_layout(self.program, step).is_some() && through.add != Summand::Slot(through.from) {
            // The gradient goes on from the inner buffer.
            self.drop_gradients(done, batch, wanted);
        }
        if let Wanted::Weights(sums) = wanted {
            sums.add_weights(self, at, through.from, batch.chunks);
        }
        self.drop_values(done, batch);
        if step.input != INPUT || matches!(wanted, Wanted::Images) {
            let layer = &*self.layer(at, Directions::Backward);
            batch
                .chunks
                .par_iter_mut()
                .with_min_len(piece())
                .for_each(|chunk| self.to_input(through, step, layer, chunk));
        }
        batch.chunks.iter_mut().for_each(|chunk| chunk.drop_inner(self.program, at));
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
            let gradient = (chunk.masks[at].source(&chunk.gradients[through.from]), to);
            let mut inner = Epilogue::open(&mut chunk.inner[at]);
            batch_norm::input_gradient(isa, gradient, None, layout, chunk.images, norm, &mut inner);
            return;
        }
        chunk.open_gradient(self.slots, through.to);
        let (images, masks) = (chunk.images, through.masks.map(|step| &chunk.masks[step]));
        let y = &chunk.values[step.input];
        write(&mut chunk.gradients, through.to, through.add, masks, |buffers, mut dx| {
            let gradient = (Source::Dense(&buffers[through.from]), to);
            batch_norm::input_gradient(isa, gradient, Some(y), layout, images, norm, &mut dx);
        });
    }

    /// The gradient on a step's input, from that on what its layer made.
    fn to_input(&self, through: Through, step: &Step, layer: &Layer, chunk: &mut Chunk) {
        let at = through.step;
        let applied = Applied { program: self.program, step, layer };
        chunk.open_gradient(self.slots, through.to);
        let (images, masks) = (chunk.images, through.masks.map(|step| &chunk.masks[step]));
        let inner = inner_layout(self.program, step).map(|layout| (layout, &chunk.inner[at]));
        let from = &self.program.layouts[step.input];
        write(&mut chunk.gradients, through.to, through.add, masks, |buffers, dx| {
            with_scratch(|scratch| match (inner, applied.layer) {
                (Some((layout, dy)), Layer::Conv2d(layer)) => {
                    let dy = Source::Dense(dy);
                    layer.packed.input_gradient(dy, &layout, images, from, dx, &mut scratch.conv2d);
                }
                _ => applied.backward(&buffers[through.from], &chunk.masks[at], images, dx, scratch),
            });
        });
    }
}
