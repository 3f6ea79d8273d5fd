//! The definition, value by value: the judge of every other implementation.

use super::Geometry;

/// Output, and for each output value the place of the maximum in its window (row order, first of a tie).
///
/// # Panics
/// If a window lies beyond the border altogether.
pub fn forward(geometry: &Geometry, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
    (0..geometry.output_len())
        .map(|at| {
            let values =
                (0..geometry.area()).filter_map(|place| Some((x[geometry.source(at, place)?], place)));
            let larger = |best: (f64, usize), next: (f64, usize)| if next.0 > best.0 { next } else { best };
            values.reduce(larger).expect("padding is at most half a window")
        })
        .unzip()
}

/// Gradient on the image: each output's gradient goes to the place of its maximum.
///
/// # Panics
/// If a place lies beyond the border.
pub fn input_gradient(geometry: &Geometry, places: &[usize], dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; geometry.input_len()];
    for (at, (&place, d)) in places.iter().zip(dy).enumerate() {
        dx[geometry.source(at, place).expect("a maximum lies in the image")] += d;
    }
    dx
}
