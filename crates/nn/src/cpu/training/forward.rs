//! The way forward, layer by layer.

use rayon::prelude::*;
use robin_kernels::batch_norm::{self, Moments, Statistics};
use robin_kernels::conv2d::packed::Directions;
use robin_kernels::epilogue::{Add, Epilogue, Gate, PooledEpilogue};
use robin_kernels::isa::Isa;

use super::super::apply::{Applied, Masks};
use super::super::layers::{Layer, padded};
use super::super::lower::{INPUT, Operation, Program, Step};
use super::super::pass::{read_images, read_scores};
use super::super::share::piece;
use super::super::workspace::with_scratch;
use super::chunk::{Chunk, inner_layout};
use super::{Batch, CHUNK, Normed, Training};
use crate::{Error, Parameters, Result};

impl Training<'_> {
    /// Scores `[n, k]` of `images` `[n, c, h, w]`; all that the way back needs stays in `batch`.
    pub(super) fn forward(&self, images: &[f32], batch: &mut Batch<'_>) -> Result<Vec<f32>> {
        let shape = self.program.graph.input_shape();
        let length = shape.iter().product::<usize>();
        batch.chunks.par_iter_mut().zip(images.par_chunks(CHUNK * length)).with_min_len(piece()).for_each(
            |(chunk, images)| {
                chunk.make_room(self.program, self.slots, images.len() / length);
                chunk.clear(self.program, self.slots);
                let layout = &self.program.layouts[INPUT];
                chunk.values[INPUT] = chunk.take(layout);
                read_images(images, shape, self.normalize.as_ref(), layout, &mut chunk.values[INPUT]);
            },
        );
        for (at, step) in self.program.steps.iter().enumerate() {
            let normed = self.step_forward(at, step, batch)?;
            batch.norms.push(normed);
            for chunk in batch.chunks.iter_mut() {
                // What was not pooled yet is read again by nobody, and what was normalised is made again.
                chunk.drop_inner(self.program, at);
                self.lifetimes.forward[at].iter().for_each(|&value| chunk.drop_value(self.program, value));
            }
        }
        let outputs = self.program.graph.num_outputs();
        let layout = &self.program.layouts[self.program.output];
        let mut scores = vec![0.0; batch.images * outputs];
        for (chunk, scores) in batch.chunks.iter_mut().zip(scores.chunks_mut(CHUNK * outputs)) {
            read_scores(&chunk.values[self.program.output], layout, outputs, scores);
            self.lifetimes.scores.iter().for_each(|&value| chunk.drop_value(self.program, value));
        }
        Ok(scores)
    }

    fn step_forward(&self, at: usize, step: &Step, batch: &mut Batch<'_>) -> Result<Option<Normed>> {
        let layer = &*self.layer(at, Directions::Forward);
        let norm = match &step.operation {
            Operation::Conv2d { norm: Some(norm), .. } => norm,
            Operation::BatchNorm2d { name } => name,
            _ => {
                batch
                    .chunks
                    .par_iter_mut()
                    .with_min_len(piece())
                    .for_each(|chunk| self.without_norm(at, step, layer, chunk));
                return Ok(None);
            }
        };
        batch
            .chunks
            .par_iter_mut()
            .with_min_len(piece())
            .for_each(|chunk| self.convolve_bare(at, step, layer, chunk));
        let layout = self.normed_layout(step);
        let pixels = batch.images * layout.pixels();
        if pixels < 2 {
            let (graph, layer) = (self.program.graph.name().to_owned(), norm.clone());
            return Err(Error::BatchStatistics { graph, layer });
        }
        let parts: Vec<Moments> = batch
            .chunks
            .par_iter()
            .with_min_len(piece())
            .map(|chunk| batch_norm::moments(Isa::detect(), normed(at, step, chunk), &layout, chunk.images))
            .collect();
        let mut moments = Moments::none(layout.channels);
        parts.iter().for_each(|part| moments.join(part));
        let [weight, bias] = ["weight", "bias"].map(|part| {
            let tensor = self.parameters.get(&format!("{norm}.{part}"));
            padded(&tensor.expect("parameters were checked against the graph").values, layout.channels)
        });
        let statistics = Statistics::of(&moments, &weight, &bias);
        batch
            .chunks
            .par_iter_mut()
            .with_min_len(piece())
            .for_each(|chunk| self.normalize(at, step, &statistics, chunk));
        Ok(Some(Normed { moments, statistics }))
    }

    /// How the values lie that a step's batch norm sees.
    pub(super) fn normed_layout(&self, step: &Step) -> robin_kernels::layout::Layout {
        inner_layout(self.program, step).unwrap_or(self.program.layouts[step.input])
    }

    /// A step that sees one image at a time.
    fn without_norm(&self, at: usize, step: &Step, layer: &Layer, chunk: &mut Chunk) {
        let applied = Applied { program: self.program, step, layer };
        let mut output = chunk.take(&self.program.layouts[step.output]);
        let add = step.add.map(|add| &*chunk.values[add]);
        let x = &chunk.values[step.input];
        with_scratch(|scratch| {
            applied.forward(x, add, chunk.images, &mut output, &mut chunk.masks[at], scratch);
        });
        chunk.values[step.output] = output;
    }

    /// The convolution before a batch norm.
    pub(super) fn convolve_bare(&self, at: usize, step: &Step, layer: &Layer, chunk: &mut Chunk) {
        let Layer::Conv2d(layer) = layer else { return };
        let (from, to) = (&self.program.layouts[step.input], self.normed_layout(step));
        let mut output = chunk.take(&to);
        let x = &chunk.values[step.input];
        let finish = Epilogue {
            output: &mut output,
            bias: layer.bias.as_deref(),
            add: Add::Nothing,
            gate: Gate::Open,
        };
        with_scratch(|scratch| {
            layer.packed.forward(x, from, chunk.images, &to, finish, &mut scratch.conv2d);
        });
        chunk.inner[at] = output;
    }

    /// Batch norm with known statistics, and the rest of the step.
    pub(super) fn normalize(&self, at: usize, step: &Step, statistics: &Statistics, chunk: &mut Chunk) {
        let (isa, layout, to) = (Isa::detect(), self.normed_layout(step), &self.program.layouts[step.output]);
        let mut output = chunk.take(to);
        let mut masks = std::mem::take(&mut chunk.masks[at]);
        let y = normed(at, step, chunk);
        match &mut masks {
            Masks::Windows(windows) => {
                let mut finish = PooledEpilogue { output: &mut output, bias: None, bits: Some(windows) };
                batch_norm::normalize_pooled(isa, y, &layout, chunk.images, statistics, to, &mut finish);
            }
            masks => {
                let add = step.add.map_or(Add::Nothing, |add| Add::Values(&chunk.values[add]));
                let gate = masks.rectifier(step.relu);
                let mut finish = Epilogue { output: &mut output, bias: None, add, gate };
                batch_norm::normalize(isa, y, &layout, chunk.images, statistics, &mut finish);
            }
        }
        chunk.values[step.output] = output;
        chunk.masks[at] = masks;
    }
}

/// What a step's batch norm sees.
pub(super) fn normed<'a>(at: usize, step: &Step, chunk: &'a Chunk) -> &'a [f32] {
    match step.operation {
        Operation::Conv2d { .. } => &chunk.inner[at],
        _ => &chunk.values[step.input],
    }
}

/// Moves the running statistics towards those of each batch, in order, as PyTorch does.
pub(super) fn move_running_statistics(
    program: &Program,
    batches: &[Vec<Option<Normed>>],
    parameters: &mut Parameters,
) {
    for norms in batches {
        for (step, normed) in program.steps.iter().zip(norms) {
            let (Operation::Conv2d { norm: Some(name), .. } | Operation::BatchNorm2d { name }, Some(normed)) =
                (&step.operation, normed)
            else {
                continue;
            };
            let running = |part: &str| {
                let name = format!("{name}.{part}");
                let at = parameters.buffers.iter().position(|buffer| buffer.name == name);
                at.expect("parameters were checked against the graph")
            };
            let (mean, variance) = (running("running_mean"), running("running_var"));
            let [mean, variance] =
                parameters.buffers.get_disjoint_mut([mean, variance]).expect("two buffers");
            normed.moments.update_running(&mut mean.values, &mut variance.values);
        }
    }
}
