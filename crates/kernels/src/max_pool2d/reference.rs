//! The definition, value by value: the judge of every other implementation.

use super::Geometry;
use crate::sizes::filled;

/// Output, and for each output value the place of the maximum in its window (row order, first of a tie).
pub fn forward(geometry: &Geometry, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let wanted = geometry.input_len();
    assert!(x.len() == wanted, "{} values, not {wanted}, for {geometry:?}", x.len());
    (0..geometry.output_len())
        .map(|at| {
            let mut best = 0;
            for place in 1..geometry.window * geometry.window {
                if x[geometry.source(at, place)] > x[geometry.source(at, best)] {
                    best = place;
                }
            }
            (x[geometry.source(at, best)], best)
        })
        .unzip()
}

/// Gradient on the image: each output's gradient goes to the place of its maximum.
pub fn input_gradient(geometry: &Geometry, places: &[usize], dy: &[f64]) -> Vec<f64> {
    let (area, wanted) = (geometry.area(), geometry.output_len());
    let fits = dy.len() == wanted && places.len() == wanted && places.iter().all(|&place| place < area);
    assert!(fits, "{} values and {} places for {geometry:?}", dy.len(), places.len());
    let mut dx = filled(0.0, geometry.input_len());
    for (at, (&place, d)) in places.iter().zip(dy).enumerate() {
        dx[geometry.source(at, place)] += d;
    }
    dx
}
