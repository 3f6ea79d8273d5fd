//! Forward and backward passes, block by block.

use candle_core::Tensor;
use rayon::prelude::*;
use robin_core::host;
use robin_kernels::conv2d::implicit_gemm::Scratch;
use robin_kernels::{max_pool2d, relu};

use super::stage::{Order, Program, Stage, reorder_rows};

/// Images of a block. A fixed number: sums over examples are joined block by block.
pub(super) const BLOCK: usize = 16;

/// What a forward pass must keep for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: scores only.
    Nothing,
    /// What the gradient on the images needs: signs and places, no activations.
    ForImages,
    /// What the gradients on the weights need: the layers' inputs too.
    ForWeights,
}

/// What the blocks of one forward pass kept.
pub(super) type Trace = Vec<BlockTrace>;

/// What one block kept.
pub(super) struct BlockTrace {
    /// Number of images; less than [`BLOCK`] in the last one.
    pub(super) images: usize,
    /// One entry for each stage.
    pub(super) saved: Vec<Saved>,
}

/// What one stage kept.
pub(super) enum Saved {
    Nothing,
    /// The layer's input.
    Input(Vec<f32>),
    /// Where the rectifier's output is above 0.
    Active(Vec<bool>),
    /// Where each maximum came from.
    Places(Vec<u8>),
}

/// Runs `images` `[n, c, h, w]` through all stages: outputs `[n, k]`, and what was asked to be kept.
pub(super) fn forward(
    program: &Program,
    images: &Tensor,
    n: usize,
    keep: Keep,
) -> robin_core::Result<(Vec<f32>, Trace)> {
    let shape = program.graph.input_shape();
    let images = reorder_rows(&host::to_vec(images)?, shape, Order::ChannelsLast);
    let length = shape.iter().product::<usize>();
    let blocks: Vec<(Vec<f32>, BlockTrace)> = (0..n.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            let rows = &images[block * BLOCK * length..n.min((block + 1) * BLOCK) * length];
            forward_block(program, rows, keep)
        })
        .collect();
    let (outputs, trace): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
    Ok((outputs.concat(), trace))
}

/// One block: `rows` holds its images, channels last.
fn forward_block(program: &Program, rows: &[f32], keep: Keep) -> (Vec<f32>, BlockTrace) {
    let images = rows.len() / program.graph.input_shape().iter().product::<usize>();
    let mut x = rows.to_vec();
    let mut saved = Vec::with_capacity(program.stages.len());
    let mut scratch = Scratch::default();
    for stage in &program.stages {
        let kept = match stage {
            Stage::Normalize { mean, std } => {
                for pixel in x.chunks_exact_mut(mean.len()) {
                    for ((value, mean), std) in pixel.iter_mut().zip(mean).zip(std) {
                        *value = (*value - mean) / std;
                    }
                }
                Saved::Nothing
            }
            Stage::Conv2d(layer) => {
                let g = layer.geometry();
                let mut y = vec![0.0; images * g.output_len()];
                for (x, y) in x.chunks_exact(g.input_len()).zip(y.chunks_exact_mut(g.output_len())) {
                    layer.forward(x, y, &mut scratch);
                }
                keep_input(keep, std::mem::replace(&mut x, y))
            }
            Stage::Relu => {
                relu::forward(&mut x);
                if keep == Keep::Nothing {
                    Saved::Nothing
                } else {
                    Saved::Active(x.iter().map(|&x| x > 0.0).collect())
                }
            }
            Stage::MaxPool2d(g) => {
                let (mut y, mut places) =
                    (vec![0.0; images * g.output_len()], vec![0; images * g.output_len()]);
                let outputs = y.chunks_exact_mut(g.output_len()).zip(places.chunks_exact_mut(g.output_len()));
                for (x, (y, places)) in x.chunks_exact(g.input_len()).zip(outputs) {
                    max_pool2d::direct::forward(g, x, y, places);
                }
                x = y;
                if keep == Keep::Nothing { Saved::Nothing } else { Saved::Places(places) }
            }
            Stage::Linear { layer, .. } => {
                let mut y = vec![0.0; images * layer.geometry().outputs];
                layer.forward(&x, &mut y);
                keep_input(keep, std::mem::replace(&mut x, y))
            }
        };
        saved.push(kept);
    }
    (x, BlockTrace { images, saved })
}

fn keep_input(keep: Keep, input: Vec<f32>) -> Saved {
    if keep == Keep::ForWeights { Saved::Input(input) } else { Saved::Nothing }
}

/// One step back through a stage that has no parameters of its own to learn, or whose gradient on the input
/// alone is wanted: gradient on the stage's input for the gradient `dy` on its output.
pub(super) fn input_gradient(
    stage: &Stage,
    saved: &Saved,
    images: usize,
    mut dy: Vec<f32>,
    scratch: &mut Scratch,
) -> Vec<f32> {
    match (stage, saved) {
        (Stage::Normalize { std, .. }, _) => {
            for pixel in dy.chunks_exact_mut(std.len()) {
                for (d, std) in pixel.iter_mut().zip(std) {
                    *d /= std;
                }
            }
            dy
        }
        (Stage::Conv2d(layer), _) => {
            let g = layer.geometry();
            let mut dx = vec![0.0; images * g.input_len()];
            for (dy, dx) in dy.chunks_exact(g.output_len()).zip(dx.chunks_exact_mut(g.input_len())) {
                layer.input_gradient(dy, dx, scratch);
            }
            dx
        }
        (Stage::Relu, Saved::Active(active)) => {
            relu::input_gradient(active, &mut dy);
            dy
        }
        (Stage::MaxPool2d(g), Saved::Places(places)) => {
            let mut dx = vec![0.0; images * g.input_len()];
            let outputs = dy.chunks_exact(g.output_len()).zip(places.chunks_exact(g.output_len()));
            for ((dy, places), dx) in outputs.zip(dx.chunks_exact_mut(g.input_len())) {
                max_pool2d::direct::input_gradient(g, places, dy, dx);
            }
            dx
        }
        (Stage::Linear { layer, .. }, _) => {
            let mut dx = vec![0.0; images * layer.geometry().inputs];
            layer.input_gradient(&dy, &mut dx);
            dx
        }
        (Stage::Relu | Stage::MaxPool2d(_), _) => {
            unreachable!("a pass that goes back kept signs and places on its way forward")
        }
    }
}
