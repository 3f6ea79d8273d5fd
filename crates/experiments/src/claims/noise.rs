//! How far a number may be from what it would be with other images and other seeds.

/// Student's t, two-sided 95%, for 1, 2, 3, ... degrees of freedom.
const STUDENT: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086,
];

/// Half the width of the 95% interval of the mean of `values`, one for each seed; 0 for one, which says nothing of others.
pub(super) fn of_seeds(values: &[f64]) -> f64 {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    of_deviation((squares / n.saturating_sub(1).max(1) as f64).sqrt(), n)
}

/// The same from a standard deviation (n - 1 in the denominator).
pub(super) fn of_deviation(deviation: f64, n: usize) -> f64 {
    let Some(freedom) = n.checked_sub(2) else { return 0.0 };
    STUDENT[freedom.min(STUDENT.len() - 1)] * deviation / (n as f64).sqrt()
}

/// The same of a share of `n` images; more seeds on the same images make it no smaller.
pub(super) fn of_images(share: f64, n: usize) -> f64 {
    1.96 * (share * (1.0 - share) / n as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_count_with_students_t() {
        // Deviation 0.02; t of 2 degrees of freedom.
        let expected = 4.303 * 0.02 / 3.0_f64.sqrt();
        assert!((of_seeds(&[0.43, 0.45, 0.47]) - expected).abs() < 1e-9);
        assert_eq!((of_seeds(&[0.5]), of_seeds(&[])), (0.0, 0.0));
        assert!((of_images(0.5, 10_000) - 0.0098).abs() < 1e-9);
    }
}
