//! The definition, value by value: the judge of every other implementation.

use super::{Geometry, check};
use crate::sizes::reserved;

/// Mean of each window of one image `[h, w, c]`.
pub fn forward(geometry: &Geometry, x: &[f64]) -> Vec<f64> {
    check(geometry);
    let wanted = geometry.input_len();
    assert!(x.len() == wanted, "{} values, not {wanted}, for {geometry:?}", x.len());
    let mut y = vec![0.0; geometry.output_len()];
    for (at, x) in x.iter().enumerate() {
        y[window_of(geometry, at)] += x / geometry.area() as f64;
    }
    y
}

/// Gradient on the image: each output's gradient goes to its window in equal parts.
pub fn input_gradient(geometry: &Geometry, dy: &[f64]) -> Vec<f64> {
    check(geometry);
    let wanted = geometry.output_len();
    assert!(dy.len() == wanted, "{} values, not {wanted}, for {geometry:?}", dy.len());
    let mut dx = reserved(geometry.input_len());
    dx.extend((0..geometry.input_len()).map(|at| dy[window_of(geometry, at)] / geometry.area() as f64));
    dx
}

/// Index of the output value whose window holds input value `at`.
fn window_of(g: &Geometry, at: usize) -> usize {
    let (position, channel) = (at / g.channels, at % g.channels);
    let (row, column) = (position / g.input[1], position % g.input[1]);
    (row / g.window * g.output()[1] + column / g.window) * g.channels + channel
}
