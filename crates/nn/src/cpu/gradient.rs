//! Gradients of the weights: each block's contribution, and their sum in the order of blocks.

use candle_core::Tensor;
use rayon::prelude::*;
use robin_core::host;
use robin_kernels::conv2d::{self, implicit_gemm};
use robin_kernels::linear;

use super::block::{self, BLOCK, BlockTrace, Saved, Trace};
use super::stage::{Order, Program, Stage, reorder_rows};
use crate::Gradients;

/// Rows of a linear layer's weight gradient that are computed together. A fixed number: the split must not
/// follow the number of threads.
const PANEL: usize = 64;

/// What one block adds to the weight gradients, one entry for each stage.
pub(super) type BlockContribution = Vec<Contribution>;

pub(super) enum Contribution {
    Nothing,
    /// Gradients on a convolution's weights (kernel's order) and bias.
    Conv2d {
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    /// A linear layer's input and the gradient on its output: the product waits for all blocks.
    Linear {
        x: Vec<f32>,
        dy: Vec<f32>,
    },
}

/// The way back of every block for the gradient `[n, k]` on the outputs.
pub(super) fn contributions(
    program: &Program,
    trace: Trace,
    score_gradient: &Tensor,
) -> robin_core::Result<Vec<BlockContribution>> {
    let dy = host::to_vec(score_gradient)?;
    let classes = program.graph.num_outputs();
    Ok(trace
        .into_par_iter()
        .enumerate()
        .map(|(block, trace)| {
            let rows = block * BLOCK * classes;
            back_through_block(program, &trace, &dy[rows..rows + trace.images * classes])
        })
        .collect())
}

fn back_through_block(program: &Program, trace: &BlockTrace, dy: &[f32]) -> BlockContribution {
    let mut scratch = implicit_gemm::Scratch::default();
    let mut weight_scratch = conv2d::weight_gradient::Scratch::default();
    let mut dy = dy.to_vec();
    let mut contributions = Vec::with_capacity(program.stages.len());
    let first_to_learn =
        program.stages.iter().position(|s| matches!(s, Stage::Conv2d(_) | Stage::Linear { .. }));
    for (at, (stage, saved)) in program.stages.iter().zip(&trace.saved).enumerate().rev() {
        contributions.push(match (stage, saved) {
            (Stage::Conv2d(layer), Saved::Input(x)) => {
                let g = layer.geometry();
                let (mut dw, mut db) = zeros(g);
                for (x, dy) in x.chunks_exact(g.input_len()).zip(dy.chunks_exact(g.output_len())) {
                    conv2d::weight_gradient::add(g, x, dy, &mut dw, &mut db, &mut weight_scratch);
                }
                Contribution::Conv2d { weights: dw, bias: db }
            }
            (Stage::Linear { .. }, Saved::Input(x)) => Contribution::Linear { x: x.clone(), dy: dy.clone() },
            _ => Contribution::Nothing,
        });
        if Some(at) == first_to_learn {
            // Nothing before it learns, and the images' gradient is not wanted in training.
            break;
        }
        dy = block::input_gradient(stage, saved, trace.images, dy, &mut scratch);
    }
    contributions.resize_with(program.stages.len(), || Contribution::Nothing);
    contributions.reverse();
    contributions
}

/// Sums the blocks' contributions, in PyTorch's order of tensors and values.
pub(super) fn join(program: &Program, blocks: &[BlockContribution]) -> Gradients {
    let mut gradients = Vec::new();
    for (at, stage) in program.stages.iter().enumerate() {
        let parts = blocks.iter().map(|block| &block[at]);
        match stage {
            Stage::Conv2d(layer) => {
                let geometry = layer.geometry();
                let (mut dw, mut db) = zeros(geometry);
                for part in parts {
                    if let Contribution::Conv2d { weights, bias } = part {
                        add(&mut dw, weights);
                        add(&mut db, bias);
                    }
                }
                gradients.push(geometry.weights_to_torch(&dw));
                gradients.push(db);
            }
            Stage::Linear { layer, flattened } => {
                let (dw, db) = join_linear(layer.geometry(), parts);
                gradients.push(match flattened {
                    Some(shape) => reorder_rows(&dw, *shape, Order::ChannelsFirst),
                    None => dw,
                });
                gradients.push(db);
            }
            Stage::Normalize { .. } | Stage::Relu | Stage::MaxPool2d(_) => {}
        }
    }
    Gradients(gradients)
}

fn join_linear<'a>(
    g: &linear::Geometry,
    parts: impl Iterator<Item = &'a Contribution>,
) -> (Vec<f32>, Vec<f32>) {
    let (mut all_x, mut all_dy) = (Vec::new(), Vec::new());
    for part in parts {
        if let Contribution::Linear { x, dy } = part {
            all_x.extend_from_slice(x);
            all_dy.extend_from_slice(dy);
        }
    }
    let mut dw = vec![0.0; g.outputs * g.inputs];
    dw.par_chunks_mut(PANEL * g.inputs).enumerate().for_each(|(panel, rows)| {
        linear::weight_gradient::rows(g, &all_x, &all_dy, panel * PANEL, rows);
    });
    let mut db = vec![0.0; g.outputs];
    for row in all_dy.chunks_exact(g.outputs) {
        add(&mut db, row);
    }
    (dw, db)
}

/// Weight and bias gradients of a convolution, before anything was added.
fn zeros(g: &conv2d::Geometry) -> (Vec<f32>, Vec<f32>) {
    (vec![0.0; g.taps() * g.out_channels], vec![0.0; g.out_channels])
}

fn add(sum: &mut [f32], part: &[f32]) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum += part;
    }
}
