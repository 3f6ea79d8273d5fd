//! The definition, value by value: the judge of every other implementation.

use super::Geometry;
use crate::sizes::filled;

/// Output, and for each output value the place of the maximum in its window (row order, first of a tie).
///
/// # Panics
/// If a window lies beyond the border altogether.
pub fn forward(geometry: &Geometry, x: &[f64]) -> (Vec<f64>, Vec<usize>) {
    let wanted = geometry.input_len();
    assert!(x.len() == wanted, "{} values, not {wanted}, for {geometry:?}", x.len());
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
pub fn input_gradient(geometry: &Geometry, indices: &[usize], dy: &[f64]) -> Vec<f64> {
    let (area, wanted) = (geometry.area(), geometry.output_len());
    let fits = dy.len() == wanted && indices.len() == wanted && indices.iter().all(|&place| place < area);
    assert!(fits, "{} values and {} indices for {geometry:?}", dy.len(), indices.len());
    let mut dx = filled(0.0, geometry.input_len());
    for (at, (&place, d)) in indices.iter().zip(dy).enumerate() {
        dx[geometry.source(at, place).expect("a maximum lies in the image")] += d;
    }
    dx
}
