//! The definition, value by value: the judge of every other implementation.

use super::Geometry;

/// Output, and for each output value the place of the maximum in its window (row order, first of a tie).
pub fn forward(geometry: &Geometry, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
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
    let mut dx = vec![0.0; geometry.input_len()];
    for (at, (&place, d)) in places.iter().zip(dy).enumerate() {
        dx[geometry.source(at, place)] += d;
    }
    dx
}
