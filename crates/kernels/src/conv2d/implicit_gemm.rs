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
                assert_eq!(dx.len(), g.input_len(), "input gradient of {g:?}");
                let Scratch { starts, taps, .. } = scratch;
                starts.clear();
                starts.extend((0..g.positions()).map(|position| position * g.out_channels));
                taps.resize(g.positions() * g.taps(), 0.0);
                let rows = Rows { values: dy, starts, runs: 1, run_length: g.out_channels, run_stride: 0 };
                multiply(rows, panels, Begin::Zero, taps);
                dx.fill(0.0);
                let all = g.taps();
                g.for_each_run(|position, tap, to, length| {
                    let from = position * all + tap;
                    for (d, tap) in dx[to..to + length].iter_mut().zip(&taps[from..from + length]) {
                        *d += tap;
                    }
                });
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
    let ([height, width], [out_height, out_width]) = (g.input, g.output());
    let row_length = (width + 2 * g.padding) * g.in_channels;
    assert_eq!(x.len(), g.input_len(), "input of {g:?}");
    padded.clear();
    padded.resize((height + 2 * g.padding) * row_length, 0.0);
    let first = g.padding * row_length + g.padding * g.in_channels;
    for (row, values) in x.chunks_exact(width * g.in_channels).enumerate() {
        padded[first + row * row_length..][..values.len()].copy_from_slice(values);
    }
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
