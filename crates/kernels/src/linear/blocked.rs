//! Products of [`BLOCK`] rows at a time.

use super::{BLOCK, Geometry};
use crate::product::{Destination, Matrix, multiply};

/// Writes the outputs `[BLOCK, out]` of a block of rows `[BLOCK, in]`.
///
/// # Panics
/// If a slice does not fit.
pub fn forward(g: &Geometry, weights: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) {
    for row in y.chunks_exact_mut(g.outputs) {
        row.copy_from_slice(bias);
    }
    let weights = Matrix::new(weights, g.outputs, g.inputs);
    multiply(Matrix::new(x, BLOCK, g.inputs), weights.transpose(), y, Destination::Accumulate);
}

/// Writes the gradients `[BLOCK, in]` on a block of rows.
///
/// # Panics
/// If a slice does not fit.
pub fn input_gradient(g: &Geometry, weights: &[f32], dy: &[f32], dx: &mut [f32]) {
    let weights = Matrix::new(weights, g.outputs, g.inputs);
    multiply(Matrix::new(dy, BLOCK, g.outputs), weights, dx, Destination::Overwrite);
}

/// Writes rows `first..first + dw.len() / in` of the gradient on the weights, summed over all `n` rows of `x`
/// `[n, in]` and `dy` `[n, out]`. Callers split by rows in a way that follows from the layer alone.
///
/// # Panics
/// If a slice does not fit.
pub fn weight_gradient_rows(g: &Geometry, x: &[f32], dy: &[f32], first: usize, dw: &mut [f32]) {
    let (n, rows) = (x.len() / g.inputs, dw.len() / g.inputs);
    // The wanted columns of dy as a matrix of their own: `Matrix` has no offset between rows.
    let part: Vec<f32> =
        dy.chunks_exact(g.outputs).flat_map(|row| &row[first..first + rows]).copied().collect();
    multiply(
        Matrix::new(&part, n, rows).transpose(),
        Matrix::new(x, n, g.inputs),
        dw,
        Destination::Overwrite,
    );
}
