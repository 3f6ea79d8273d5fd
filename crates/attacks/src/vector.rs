//! Plain vectors in f64.

/// Euclidean length.
pub(crate) fn l2(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// `sum += factor * values`.
pub(crate) fn add_scaled(sum: &mut [f64], factor: f64, values: &[f64]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// `to - from`, elementwise.
pub(crate) fn difference(to: &[f32], from: &[f32]) -> Vec<f64> {
    to.iter().zip(from).map(|(&to, &from)| f64::from(to) - f64::from(from)).collect()
}

/// The same values, wider.
pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
