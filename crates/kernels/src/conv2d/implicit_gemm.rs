//! Convolution as a product of rows that lie in the padded image as they are: nothing is laid out.
//!
//! The gradient on the image has two forms. With stride 1 it is again a convolution, of the output's gradient
//! with the kernel turned around and its channels exchanged. Otherwise, and where the image has so few
//! channels that panels would stay empty, each output position's gradient is multiplied with all taps and the
//! products are added where they belong.

use super::Geometry;
use crate::panels::{Begin, PANEL, Panels, Rows, multiply};

/// A convolution with its weights packed for both directions.
#[derive(Debug)]
pub struct Packed {
    geometry: Geometry,
    forward: Panels,
    backward: Backward,
    bias: Vec<f32>,
}

#[derive(Debug)]
enum Backward {
    /// A convolution with turned kernel.
    Turned(Geometry, Panels),
    /// All taps of each position.
    Taps(Panels),
}

/// Room for one image; kept by a thread from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    padded: Vec<f32>,
    starts: Vec<usize>,
    taps: Vec<f32>,
}

impl Packed {
    /// Packs weights in this folder's order (`[kernel, kernel, in, out]`) and a bias `[out]`.
    ///
    /// # Panics
    /// If a slice does not fit `geometry`.
    pub fn new(geometry: Geometry, weights: &[f32], bias: &[f32]) -> Self {
        let g = geometry;
        assert_eq!(bias.len(), g.out_channels, "bias of {g:?}");
        let turns = g.stride == 1 && g.padding < g.kernel && 2 * g.in_channels >= PANEL;
        let backward = if turns {
            let turned = Geometry {
                input: g.output(),
                in_channels: g.out_channels,
                out_channels: g.in_channels,
                padding: g.kernel - 1 - g.padding,
                ..g
            };
            Backward::Turned(turned, Panels::pack(&turn(&g, weights), turned.taps(), turned.out_channels))
        } else {
            Backward::Taps(Panels::pack_transposed(weights, g.out_channels, g.taps()))
        };
        let forward = Panels::pack(weights, g.taps(), g.out_channels);
        Self { geometry, forward, backward, bias: bias.to_vec() }
    }

    /// The sizes.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Writes the output `[h', w', out]` of one image `[h, w, in]`.
    ///
    /// # Panics
    /// If a slice does not fit.
    pub fn forward(&self, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        convolve(&self.geometry, &self.forward, Begin::Bias(&self.bias), x, y, scratch);
    }

    /// Writes the gradient on the image for the gradient `dy` on the output.
    ///
    /// # Panics
    /// If a slice does not fit.
    pub fn input_gradient(&self, dy: &[f32], dx: &mut [f32], scratch: &mut Scratch) {
        let g = &self.geometry;
        match &self.backward {
            Backward::Turned(turned, panels) => convolve(turned, panels, Begin::Zero, dy, dx, scratch),
            Backward::Taps(panels) => {
                let Scratch { padded, starts, taps } = scratch;
                starts.clear();
                starts.extend((0..g.positions()).map(|position| position * g.out_channels));
                taps.resize(g.positions() * g.taps(), 0.0);
                let rows = Rows { values: dy, starts, runs: 1, run_length: g.out_channels, run_stride: 0 };
                multiply(rows, panels, Begin::Zero, taps);
                // Runs as short as a first layer's want their length known to the compiler.
                match g.kernel * g.in_channels {
                    3 => add_taps::<3>(g, taps, padded),
                    4 => add_taps::<4>(g, taps, padded),
                    5 => add_taps::<5>(g, taps, padded),
                    9 => add_taps::<9>(g, taps, padded),
                    _ => add_taps::<0>(g, taps, padded),
                }
                crop(g, padded, dx);
            }
        }
    }
}

fn convolve(
    g: &Geometry,
    panels: &Panels,
    begin: Begin<'_>,
    x: &[f32],
    y: &mut [f32],
    scratch: &mut Scratch,
) {
    let Scratch { padded, starts, .. } = scratch;
    let [out_height, out_width] = g.output();
    let row_length = padded_row(g);
    pad(g, x, padded);
    starts.clear();
    for i in 0..out_height {
        for j in 0..out_width {
            starts.push((i * row_length + j * g.in_channels) * g.stride);
        }
    }
    let rows = Rows {
        values: padded,
        starts,
        runs: g.kernel,
        run_length: g.kernel * g.in_channels,
        run_stride: row_length,
    };
    multiply(rows, panels, begin, y);
}

/// Values of one row of the padded image.
fn padded_row(g: &Geometry) -> usize {
    (g.input[1] + 2 * g.padding) * g.in_channels
}

/// Where row `row` of the image lies in the padded one.
fn inner_row(g: &Geometry, row: usize) -> std::ops::Range<usize> {
    let start = (row + g.padding) * padded_row(g) + g.padding * g.in_channels;
    start..start + g.input[1] * g.in_channels
}

fn zeroed(g: &Geometry, padded: &mut Vec<f32>) {
    padded.clear();
    padded.resize((g.input[0] + 2 * g.padding) * padded_row(g), 0.0);
}

fn pad(g: &Geometry, x: &[f32], padded: &mut Vec<f32>) {
    assert_eq!(x.len(), g.input_len(), "input of {g:?}");
    zeroed(g, padded);
    for (row, values) in x.chunks_exact(g.input[1] * g.in_channels).enumerate() {
        padded[inner_row(g, row)].copy_from_slice(values);
    }
}

fn crop(g: &Geometry, padded: &[f32], dx: &mut [f32]) {
    assert_eq!(dx.len(), g.input_len(), "input gradient of {g:?}");
    for (row, values) in dx.chunks_exact_mut(g.input[1] * g.in_channels).enumerate() {
        values.copy_from_slice(&padded[inner_row(g, row)]);
    }
}

/// Adds each position's `taps` where they belong in the padded image. `RUN` is the length of a kernel row's
/// values, or 0 for any length.
fn add_taps<const RUN: usize>(g: &Geometry, taps: &[f32], padded: &mut Vec<f32>) {
    zeroed(g, padded);
    let [out_height, out_width] = g.output();
    let (row_length, run) = (padded_row(g), if RUN > 0 { RUN } else { g.kernel * g.in_channels });
    for i in 0..out_height {
        for u in 0..g.kernel {
            let row = &mut padded[(i * g.stride + u) * row_length..][..row_length];
            for j in 0..out_width {
                let from = &taps[(i * out_width + j) * g.taps() + u * run..][..run];
                for (sum, tap) in row[j * g.stride * g.in_channels..][..run].iter_mut().zip(from) {
                    *sum += tap;
                }
            }
        }
    }
}

/// Weights `[kernel, kernel, out, in]` of the convolution that goes back: the kernel turned by 180 degrees.
fn turn(g: &Geometry, weights: &[f32]) -> Vec<f32> {
    let area = g.kernel * g.kernel;
    let mut turned = vec![0.0; weights.len()];
    for tap in 0..area {
        for c in 0..g.in_channels {
            for o in 0..g.out_channels {
                turned[((area - 1 - tap) * g.out_channels + o) * g.in_channels + c] =
                    weights[(tap * g.in_channels + c) * g.out_channels + o];
            }
        }
    }
    turned
}
