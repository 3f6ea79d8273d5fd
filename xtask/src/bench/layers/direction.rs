//! One layer in one direction: the only place of the bench that names kernels.

use std::hint::black_box;
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use robin_kernels::conv2d::packed::{Directions, Gradients, Scratch};
use robin_kernels::conv2d::winograd::weight_gradient::WeightGradient;
use robin_kernels::conv2d::{self, implicit_gemm, weight_gradient, winograd};
use robin_kernels::epilogue::{Epilogue, Source};
use robin_kernels::factors::Factors;
use robin_kernels::isa::Isa;
use robin_kernels::layout::Layout;
use robin_kernels::{LANES, linear};

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

fn convolution(given: conv2d::Geometry, batch: usize, direction: Direction) -> f64 {
    let isa = Isa::detect();
    let whole = |channels: usize| channels.next_multiple_of(LANES);
    let first = given.in_channels < LANES;
    let in_channels = if first { given.in_channels } else { whole(given.in_channels) };
    let g = conv2d::Geometry { in_channels, out_channels: whole(given.out_channels), ..given };
    let halo = implicit_gemm::forward_halo(&g).max(implicit_gemm::backward_halo(&g));
    let [height, width] = g.output();
    let from = Layout { height: g.input[0], width: g.input[1], channels: g.in_channels, halo };
    let to = Layout { height, width, channels: g.out_channels, halo };
    let weights = noise(g.taps() * g.out_channels);
    let (mut x, mut y) = (noise(batch * from.image()), noise(batch * to.image()));
    let layer =
        conv2d::packed::Packed::new(isa, g, &weights, Gradients::Dense, Directions::Both, Factors::F32);
    let blocks = (BLOCK * from.image(), BLOCK * to.image());
    match direction {
        Direction::Forward => fastest(|| {
            x.par_chunks(blocks.0).zip(y.par_chunks_mut(blocks.1)).for_each_init(
                Scratch::default,
                |scratch, (x, y)| {
                    layer.forward(x, &from, x.len() / from.image(), &to, Epilogue::open(y), scratch);
                },
            );
        }),
        Direction::InputGradient => fastest(|| {
            let rows = x.par_chunks_mut(blocks.0).zip(y.par_chunks(blocks.1));
            rows.for_each_init(Scratch::default, |scratch, (dx, dy)| {
                let images = dy.len() / to.image();
                layer.input_gradient(Source::Dense(dy), &to, images, &from, Epilogue::open(dx), scratch);
            });
        }),
        Direction::WeightGradient if winograd::supports(&g) => {
            let mut gradient = WeightGradient::new(isa, g, None);
            let [v_image, z_image] = gradient.transformed();
            let together = gradient.images().min(batch);
            let (mut v, mut z) = (noise(together * v_image), noise(together * z_image));
            fastest(|| {
                for first in (0..batch).step_by(together) {
                    let count = together.min(batch - first);
                    let each =
                        v.par_chunks_exact_mut(v_image).zip(z.par_chunks_exact_mut(z_image)).take(count);
                    each.enumerate().for_each(|(image, (v, z))| {
                        gradient.transform(&x, &from, &y, &to, first + image..first + image + 1, v, z);
                    });
                    gradient.products_mut().par_iter_mut().for_each(|product| {
                        product.accumulate(&v, &z, count, &mut winograd::weight_gradient::Scratch::default());
                    });
                }
                black_box(gradient.finish());
            })
        }
        Direction::WeightGradient => {
            let mut dw = weights;
            fastest(|| {
                let pieces = cut(&mut dw, weight_gradient::tasks(&g), g.out_channels);
                pieces.into_par_iter().for_each_init(
                    weight_gradient::Scratch::default,
                    |scratch, (rows, dw)| {
                        weight_gradient::accumulate(isa, &g, &x, &from, &y, &to, batch, rows, dw, scratch);
                    },
                );
            })
        }
    }
}

fn fully_connected(g: linear::Geometry, batch: usize, direction: Direction) -> f64 {
    let isa = Isa::detect();
    let (inputs, outputs) = (g.inputs.next_multiple_of(LANES), g.outputs.next_multiple_of(LANES));
    let from = Layout { height: 1, width: 1, channels: inputs, halo: 0 };
    let weights = noise(inputs * outputs);
    let layer = linear::packed::Packed::new(isa, from, outputs, &weights);
    let (x_image, y_image) = (from.image(), layer.to().image());
    let (mut x, mut y) = (noise(batch * x_image), noise(batch * y_image));
    let block = 4 * BLOCK;
    match direction {
        Direction::Forward => fastest(|| {
            let rows = x.par_chunks(block * x_image).zip(y.par_chunks_mut(block * y_image));
            rows.for_each_init(linear::packed::Scratch::default, |scratch, (x, y)| {
                layer.forward(x, x.len() / x_image, &mut Epilogue::open(y), scratch);
            });
        }),
        Direction::InputGradient => fastest(|| {
            let rows = x.par_chunks_mut(block * x_image).zip(y.par_chunks(block * y_image));
            rows.for_each_init(linear::packed::Scratch::default, |scratch, (dx, dy)| {
                layer.backward(dy, dy.len() / y_image, &mut Epilogue::open(dx), scratch);
            });
        }),
        Direction::WeightGradient => {
            let mut dw = weights;
            fastest(|| {
                let pieces = cut(&mut dw, linear::weight_gradient::tasks(&from), outputs);
                let scratch = linear::weight_gradient::Scratch::default;
                pieces.into_par_iter().for_each_init(scratch, |scratch, (rows, dw)| {
                    linear::weight_gradient::accumulate(
                        isa, &x, &from, &y, outputs, batch, rows, dw, scratch,
                    );
                });
            })
        }
    }
}

/// Each task with its rows of a matrix of `columns` columns.
fn cut(mut matrix: &mut [f32], tasks: Vec<Range<usize>>, columns: usize) -> Vec<(Range<usize>, &mut [f32])> {
    let mut pieces = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (piece, rest) = matrix.split_at_mut(task.len() * columns);
        pieces.push((task, piece));
        matrix = rest;
    }
    pieces
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
