//! The formula as loops, in f64: the judge of every other implementation.

use super::Geometry;

/// Output row of one input row.
pub fn forward(g: &Geometry, weights: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    (0..g.outputs)
        .map(|o| bias[o] + (0..g.inputs).map(|i| weights[o * g.inputs + i] * x[i]).sum::<f64>())
        .collect()
}

/// Gradient on one input row.
pub fn input_gradient(g: &Geometry, weights: &[f64], dy: &[f64]) -> Vec<f64> {
    (0..g.inputs).map(|i| (0..g.outputs).map(|o| weights[o * g.inputs + i] * dy[o]).sum()).collect()
}

/// Gradient on the weights from one row.
pub fn weight_gradient(g: &Geometry, x: &[f64], dy: &[f64]) -> Vec<f64> {
    (0..g.outputs * g.inputs).map(|at| dy[at / g.inputs] * x[at % g.inputs]).collect()
}
