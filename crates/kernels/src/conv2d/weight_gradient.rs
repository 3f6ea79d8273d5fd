//! Gradient on a convolution's weights as one matrix product per image: each output position's inputs are laid
//! out as a row of a matrix `[positions, taps]`, whose transpose meets the gradient on the output.

use super::Geometry;
use crate::product::{Destination, Matrix, multiply};

/// Room for one image laid out; kept by a thread from image to image.
#[derive(Debug, Default)]
pub struct Scratch {
    columns: Vec<f32>,
}

/// Adds one image's gradient on the weights (`dw`, `[taps, out]`) and on the bias (`db`, `[out]`).
///
/// # Panics
/// If a slice does not fit `geometry`.
pub fn add(g: &Geometry, x: &[f32], dy: &[f32], dw: &mut [f32], db: &mut [f32], scratch: &mut Scratch) {
    assert_eq!(x.len(), g.input_len(), "input of {g:?}");
    let taps = g.taps();
    let columns = &mut scratch.columns;
    columns.clear();
    columns.resize(g.positions() * taps, 0.0);
    g.for_each_run(|position, tap, from, length| {
        let to = position * taps + tap;
        columns[to..to + length].copy_from_slice(&x[from..from + length]);
    });
    let columns = Matrix::new(columns, g.positions(), taps);
    let dy_matrix = Matrix::new(dy, g.positions(), g.out_channels);
    multiply(columns.transpose(), dy_matrix, dw, Destination::Accumulate);
    for row in dy.chunks_exact(g.out_channels) {
        for (b, d) in db.iter_mut().zip(row) {
            *b += d;
        }
    }
}
