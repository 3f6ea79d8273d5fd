//! One layer in one direction: the only place of the bench that names kernels.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;
use robin_kernels::conv2d::{self, implicit_gemm, weight_gradient};
use robin_kernels::linear;

use super::Sizes;

/// Images of a block, as in the executor: each is worked on by one thread.
const BLOCK: usize = 16;

/// Which product of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    InputGradient,
    WeightGradient,
}

/// All directions, in the order of the table.
pub(super) const DIRECTIONS: [Direction; 3] =
    [Direction::Forward, Direction::InputGradient, Direction::WeightGradient];

impl Direction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Direction::Forward => "forward",
            Direction::InputGradient => "dx",
            Direction::WeightGradient => "dw",
        }
    }
}

/// Seconds for a batch on the ambient pool, weights packed before.
pub(super) fn time_direction(sizes: &Sizes, batch: usize, direction: Direction) -> f64 {
    match sizes {
        Sizes::Conv2d(geometry) => convolution(*geometry, batch, direction),
        Sizes::Linear(geometry) => fully_connected(*geometry, batch, direction),
    }
}

fn convolution(g: conv2d::Geometry, batch: usize, direction: Direction) -> f64 {
    let (w, b) = (noise(g.taps() * g.out_channels), noise(g.out_channels));
    let (mut x, mut y) = (noise(batch * g.input_len()), noise(batch * g.output_len()));
    let layer = implicit_gemm::Packed::new(g, &w, &b);
    let (inputs, outputs) = (BLOCK * g.input_len(), BLOCK * g.output_len());
    match direction {
        Direction::Forward => fastest(|| {
            x.par_chunks(inputs).zip(y.par_chunks_mut(outputs)).for_each(|(x, y)| {
                let mut scratch = implicit_gemm::Scratch::default();
                for (x, y) in x.chunks_exact(g.input_len()).zip(y.chunks_exact_mut(g.output_len())) {
                    layer.forward(x, y, &mut scratch);
                }
            });
        }),
        Direction::InputGradient => fastest(|| {
            x.par_chunks_mut(inputs).zip(y.par_chunks(outputs)).for_each(|(dx, dy)| {
                let mut scratch = implicit_gemm::Scratch::default();
                for (dx, dy) in dx.chunks_exact_mut(g.input_len()).zip(dy.chunks_exact(g.output_len())) {
                    layer.input_gradient(dy, dx, &mut scratch);
                }
            });
        }),
        Direction::WeightGradient => fastest(|| {
            let parts = x.par_chunks(inputs).zip(y.par_chunks(outputs)).map(|(x, dy)| {
                let mut scratch = weight_gradient::Scratch::default();
                let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; b.len()]);
                for (x, dy) in x.chunks_exact(g.input_len()).zip(dy.chunks_exact(g.output_len())) {
                    weight_gradient::add(&g, x, dy, &mut dw, &mut db, &mut scratch);
                }
                dw
            });
            black_box(parts.collect::<Vec<_>>());
        }),
    }
}

fn fully_connected(g: linear::Geometry, batch: usize, direction: Direction) -> f64 {
    let (w, b) = (noise(g.inputs * g.outputs), noise(g.outputs));
    let (mut x, mut y) = (noise(batch * g.inputs), noise(batch * g.outputs));
    let layer = linear::packed::Packed::new(g, &w, &b);
    match direction {
        Direction::Forward => fastest(|| {
            let rows = x.par_chunks(BLOCK * g.inputs).zip(y.par_chunks_mut(BLOCK * g.outputs));
            rows.for_each(|(x, y)| layer.forward(x, y));
        }),
        Direction::InputGradient => fastest(|| {
            let rows = x.par_chunks_mut(BLOCK * g.inputs).zip(y.par_chunks(BLOCK * g.outputs));
            rows.for_each(|(dx, dy)| layer.input_gradient(dy, dx));
        }),
        Direction::WeightGradient => {
            let mut dw = vec![0.0; w.len()];
            fastest(|| {
                let parts = dw.par_chunks_mut(BLOCK * g.inputs).enumerate();
                parts.for_each(|(part, dw)| linear::weight_gradient::rows(&g, &x, &y, part * BLOCK, dw));
            })
        }
    }
}

/// Seconds of the fastest of at least three runs, a fifth of a second long together.
fn fastest(mut run: impl FnMut()) -> f64 {
    run();
    let (mut best, begin, mut runs) = (f64::INFINITY, Instant::now(), 0);
    while runs < 3 || begin.elapsed().as_secs_f64() < 0.2 {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

/// Values between -1 and 1, none of them denormal.
fn noise(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 2003) as f32 / 1001.5) - 1.0).collect()
}
