//! One training step: forward with each batch's own statistics, back to the gradients of all weights.
//!
//! A batch is cut into chunks of a fixed number of images, each with buffers of its own. Layers are run one after the
//! other, each on all chunks side by side, since batch norm needs the whole batch in between. What is summed over
//! images is joined in their order, so no result depends on the number of threads.

mod back;
mod chunk;
mod classifier;
mod forward;
mod lifetimes;
mod sums;

use std::sync::Arc;

use candle_core::Tensor;
use robin_core::{Scores, host};

use super::layers::{self, Layer};
use super::lower::Program;
use super::share;
use super::slots::Slots;
use super::workspace;
use crate::{Gradients, LossFn, Parameters, Result};
use chunk::Chunk;
pub(super) use classifier::BatchClassifier;
pub(super) use lifetimes::Lifetimes;
use robin_kernels::batch_norm::{Moments, Statistics};
use robin_kernels::conv2d::packed::Directions;
use sums::Sums;

/// Images of a chunk. A fixed number: sums over images are joined chunk by chunk.
const CHUNK: usize = 16;

/// What a pass in training looks at.
struct Training<'a> {
    program: &'a Program,
    slots: &'a Slots,
    lifetimes: &'a Lifetimes,
    /// Layers that are packed already; others are packed when their turn comes, and then let go.
    shared: Vec<Option<Arc<Layer>>>,
    parameters: &'a Parameters,
    normalize: Option<[Vec<f32>; 2]>,
}

/// What the way back is for.
enum Wanted<'s> {
    /// The gradients on all weights, added to these sums.
    Weights(&'s mut Sums),
    /// The gradient on the images, which is left in its slot.
    Images,
}

/// A batch on its way.
struct Batch<'a> {
    images: usize,
    chunks: &'a mut [Chunk],
    /// The batch norm in each step, if there is one.
    norms: Vec<Option<Normed>>,
}

/// What a batch norm saw of a batch.
struct Normed {
    moments: Moments,
    statistics: Statistics,
}

impl Training<'_> {
    /// The parameters of step `at`, packed.
    fn layer(&self, at: usize, directions: Directions) -> Arc<Layer> {
        match self.shared.get(at) {
            Some(Some(layer)) => Arc::clone(layer),
            _ => {
                let step = &self.program.steps[at];
                Arc::new(layers::apart(self.program, self.parameters, step, directions))
            }
        }
    }
}

/// Runs one step. The running statistics in `parameters` move only if nothing fails.
pub(super) fn step(
    (program, slots, lifetimes): (&Program, &Slots, &Lifetimes),
    shared: Vec<Option<Arc<Layer>>>,
    parameters: &mut Parameters,
    batches: &[&Tensor],
    loss: &mut LossFn<'_>,
) -> Result<Gradients> {
    // What the attack before this step needed, the next one makes again. Nobody waits for the other threads: one of them may begin a network of
    // its own this moment, and then looks at nothing else until that is trained.
    workspace::leave();
    if share::threads() > 1 {
        rayon::spawn_broadcast(|_| workspace::leave());
    }
    let normalize = super::normalization(program, parameters);
    let training = Training { program, slots, lifetimes, shared, parameters, normalize };
    let mut on_their_way = Vec::with_capacity(batches.len());
    let mut scores = Vec::with_capacity(batches.len());
    let mut all_chunks: Vec<Vec<Chunk>> = batches.iter().map(|_| Vec::new()).collect();
    for (images, chunks) in batches.iter().zip(&mut all_chunks) {
        let n = program.graph.image_count(images.dims())?;
        chunks.resize_with(n.div_ceil(CHUNK), Chunk::default);
        let mut batch = Batch { images: n, chunks, norms: Vec::new() };
        let outputs = training.forward(&host::to_vec(images)?, &mut batch)?;
        scores.push(Scores::from_vec(outputs, n, program.graph.num_outputs())?);
        on_their_way.push(batch);
    }
    let score_gradients = loss(&scores)?;
    let mut sums = Sums::new(&training);
    for (batch, gradient) in on_their_way.iter_mut().zip(score_gradients) {
        training.back(&host::to_vec(&gradient)?, batch, &mut Wanted::Weights(&mut sums));
    }
    let gradients = sums.finish(&training);
    let norms: Vec<_> = on_their_way.into_iter().map(|batch| batch.norms).collect();
    forward::move_running_statistics(program, &norms, parameters);
    Ok(gradients)
}
