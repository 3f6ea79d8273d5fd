//! Gradient on a linear layer's weights: one matrix product over all rows of a step.

use super::Geometry;
use crate::product::{Destination, Matrix, multiply};

/// Writes rows `first..first + dw.len() / in` of the gradient on the weights, summed over all `n` rows of `x`
/// `[n, in]` and `dy` `[n, out]`. Callers split by rows in a way that follows from the layer alone.
///
/// # Panics
/// If a slice does not fit.
pub fn rows(g: &Geometry, x: &[f32], dy: &[f32], first: usize, dw: &mut [f32]) {
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
