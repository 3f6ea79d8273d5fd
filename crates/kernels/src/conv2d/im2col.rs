//! Convolution as one matrix product per image: each output position's inputs are laid out as a row.

use super::Geometry;
use crate::product::{Destination, Matrix, multiply};

/// Room for one image laid out as a matrix `[positions, taps]`; kept by a thread from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    columns: Vec<f32>,
}

impl Scratch {
    fn zeroed(&mut self, geometry: &Geometry) -> &mut [f32] {
        self.columns.clear();
        self.columns.resize(geometry.positions() * geometry.taps(), 0.0);
        &mut self.columns
    }

    fn lay_out(&mut self, geometry: &Geometry, x: &[f32]) -> &[f32] {
        assert_eq!(x.len(), geometry.input_len(), "input of {geometry:?}");
        let taps = geometry.taps();
        let columns = self.zeroed(geometry);
        geometry.for_each_run(|position, tap, from, length| {
            let to = position * taps + tap;
            columns[to..to + length].copy_from_slice(&x[from..from + length]);
        });
        columns
    }
}

/// Writes the output `[h', w', out]` of one image `[h, w, in]`.
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn forward(g: &Geometry, weights: &[f32], bias: &[f32], x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
    let columns = Matrix::new(scratch.lay_out(g, x), g.positions(), g.taps());
    for row in y.chunks_exact_mut(g.out_channels) {
        row.copy_from_slice(bias);
    }
    multiply(columns, Matrix::new(weights, g.taps(), g.out_channels), y, Destination::Accumulate);
}

/// Writes the gradient on the image for the gradient `dy` on the output.
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn input_gradient(g: &Geometry, weights: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut Scratch) {
    assert_eq!(dx.len(), g.input_len(), "input gradient of {g:?}");
    let taps = g.taps();
    let columns = scratch.zeroed(g);
    multiply(
        Matrix::new(dy, g.positions(), g.out_channels),
        Matrix::new(weights, taps, g.out_channels).transpose(),
        columns,
        Destination::Overwrite,
    );
    dx.fill(0.0);
    g.for_each_run(|position, tap, to, length| {
        let from = position * taps + tap;
        for (d, column) in dx[to..to + length].iter_mut().zip(&columns[from..from + length]) {
            *d += column;
        }
    });
}

/// Adds one image's gradient on the weights (`dw`, `[taps, out]`) and on the bias (`db`, `[out]`).
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn add_weight_gradient(
    g: &Geometry,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    db: &mut [f32],
    scratch: &mut Scratch,
) {
    let columns = Matrix::new(scratch.lay_out(g, x), g.positions(), g.taps());
    let dy_matrix = Matrix::new(dy, g.positions(), g.out_channels);
    multiply(columns.transpose(), dy_matrix, dw, Destination::Accumulate);
    for row in dy.chunks_exact(g.out_channels) {
        for (b, d) in db.iter_mut().zip(row) {
            *b += d;
        }
    }
}
