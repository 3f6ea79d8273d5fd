//! Comparison of numbers with a tolerance that is relative to the largest of them.

use std::fmt;

use approx::abs_diff_eq;

/// Panics unless every found number is within `relative_tolerance` times the largest expected magnitude of
/// its expected one.
///
/// The scale is the array's, not the element's: an element that is a small difference of large sums cannot
/// be better than their rounding. Compare arrays of one kind only (never weights and logits together). Where
/// everything expected is zero, only zeros pass; a NaN never passes; equal infinities do.
///
/// # Panics
/// If the lengths differ or a number is too far off; the message says how far and where.
#[track_caller]
pub fn assert_close<F, E>(found: &[F], expected: &[E], relative_tolerance: f64)
where
    F: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert!(
        found.len() == expected.len(),
        "found {} numbers, expected {}: they cannot be close",
        found.len(),
        expected.len()
    );
    if let Some(difference) = difference(found, expected)
        && !abs_diff_eq!(difference.relative, 0.0, epsilon = relative_tolerance)
    {
        panic!("{difference}, allowed {relative_tolerance:e}");
    }
}

/// The largest difference between two arrays of one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Position in the flattened array.
    pub at: usize,
    /// Number found there.
    pub found: f64,
    /// Number expected there.
    pub expected: f64,
    /// Distance of the two over the largest expected magnitude; infinite if one is not finite or the scale is 0.
    pub relative: f64,
    /// How many of the numbers differ at all.
    pub differing: usize,
    /// How many numbers there are.
    pub of: usize,
}

/// Where two arrays differ most, or nothing if all numbers are equal. Lengths beyond the shorter are ignored:
/// [`assert_close`] checks them.
pub fn difference<F, E>(found: &[F], expected: &[E]) -> Option<Difference>
where
    F: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    let scale = expected.iter().map(|&e| e.into().abs()).filter(|e| e.is_finite()).fold(0.0, f64::max);
    let of = expected.len();
    let mut worst: Option<Difference> = None;
    let mut differing = 0;
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let (found, expected) = (found.into(), expected.into());
        if found == expected {
            continue;
        }
        differing += 1;
        let relative = (found - expected).abs() / scale;
        let relative = if relative.is_finite() { relative } else { f64::INFINITY };
        if worst.is_none_or(|worst| relative > worst.relative) {
            worst = Some(Difference { at, found, expected, relative, differing, of });
        }
    }
    worst.map(|worst| Difference { differing, ..worst })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "largest difference at position {}: found {}, expected {}, which is {:e} of the largest expected \
             magnitude ({} of {} numbers differ)",
            self.at, self.found, self.expected, self.relative, self.differing, self.of
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_place_is_named_and_scaled_by_the_largest_expected_number() {
        let found = difference(&[1.0_f32, -2.0, 9.0, 0.0], &[1.0_f64, -2.5, 10.0, 0.0]).unwrap();
        let worst = Difference { at: 2, found: 9.0, expected: 10.0, relative: 0.1, differing: 2, of: 4 };
        assert_eq!(found, worst);
        assert!(found.to_string().starts_with("largest difference at position 2: found 9, expected 10"));
        assert_eq!(difference(&[1.0_f32, 0.0], &[1.0_f32, -0.0]), None);
    }

    #[test]
    fn what_is_not_finite_or_has_no_scale_is_infinitely_far() {
        let relative =
            |found: f64, expected: f64| difference(&[found], &[expected]).map_or(0.0, |d| d.relative);
        assert_eq!(relative(f64::NAN, 1.0), f64::INFINITY);
        assert_eq!(relative(f64::NAN, f64::NAN), f64::INFINITY);
        assert_eq!(relative(f64::INFINITY, 1.0), f64::INFINITY);
        assert_eq!(relative(1e-30, 0.0), f64::INFINITY);
        assert_eq!(relative(f64::INFINITY, f64::INFINITY), 0.0);
    }

    #[test]
    fn the_assertion_panics_beyond_its_tolerance_and_on_other_lengths() {
        assert_close(&[1.0_f32], &[1.0009_f32], 1e-3);
        let refused = |found: &[f32], expected: &[f32]| {
            std::panic::catch_unwind(|| assert_close(found, expected, 1e-3)).is_err()
        };
        assert!(refused(&[1.0], &[1.002]));
        assert!(refused(&[1.0], &[1.0, 1.0]));
        assert!(refused(&[f32::NAN], &[f32::NAN]));
    }
}
