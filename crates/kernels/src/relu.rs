//! Rectifier `max(x, 0)`. Convention at 0, PyTorch's: the derivative there is 0.

/// Applies the rectifier in place. NaN stays NaN: a broken network must not look like a quiet one.
pub fn forward(x: &mut [f32]) {
    for x in x {
        *x = if *x < 0.0 { 0.0 } else { *x };
    }
}

/// Zeroes the gradient `dy` where the output was not `active`, that is not above 0.
///
/// # Panics
/// If the slices differ in length.
pub fn input_gradient(active: &[bool], dy: &mut [f32]) {
    assert_eq!(active.len(), dy.len(), "gradient of a rectifier");
    for (d, active) in dy.iter_mut().zip(active) {
        *d = if *active { *d } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_derivative_at_zero_is_zero_and_nan_is_kept() {
        let mut x = [-1.0, -0.0, 0.0, 2.0, f32::NAN];
        super::forward(&mut x);
        assert_eq!(x[..4], [0.0, 0.0, 0.0, 2.0]);
        assert!(x[4].is_nan());
        let mut dy = [1.0; 4];
        super::input_gradient(&[false, false, false, true], &mut dy);
        assert_eq!(dy, [0.0, 0.0, 0.0, 1.0]);
    }
}
