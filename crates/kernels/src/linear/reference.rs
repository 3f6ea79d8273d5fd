//! The formula as loops, in f64: the judge of every other implementation.

use super::Geometry;
use crate::sizes::product;

/// Output row of one input row.
pub fn forward(g: &Geometry, weights: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    check(g, Some(weights), Some(x), Some(bias));
    (0..g.outputs)
        .map(|o| bias[o] + (0..g.inputs).map(|i| weights[o * g.inputs + i] * x[i]).sum::<f64>())
        .collect()
}

/// Gradient on one input row.
pub fn input_gradient(g: &Geometry, weights: &[f64], dy: &[f64]) -> Vec<f64> {
    check(g, Some(weights), None, Some(dy));
    (0..g.inputs).map(|i| (0..g.outputs).map(|o| weights[o * g.inputs + i] * dy[o]).sum()).collect()
}

/// Gradient on the weights from one row.
pub fn weight_gradient(g: &Geometry, x: &[f64], dy: &[f64]) -> Vec<f64> {
    check(g, None, Some(x), Some(dy));
    (0..g.outputs * g.inputs).map(|at| dy[at / g.inputs] * x[at % g.inputs]).collect()
}

fn check(g: &Geometry, weights: Option<&[f64]>, x: Option<&[f64]>, y: Option<&[f64]>) {
    let len = |values: Option<&[f64]>| values.map(<[f64]>::len);
    let fits = len(weights).is_none_or(|len| product(&[g.inputs, g.outputs]) == Some(len));
    let rows = len(x).is_none_or(|len| len == g.inputs) && len(y).is_none_or(|len| len == g.outputs);
    assert!(
        fits && rows,
        "{:?} weights, {:?} inputs and {:?} outputs of {g:?}",
        len(weights),
        len(x),
        len(y)
    );
}
