//! Student's t distribution (Student 1908), for means of a few seeds.

/// Its two-sided 95% quantile at `freedom` degrees of freedom: a mean of `freedom + 1` numbers lies within so many of its standard
/// errors. Infinite at 0, since one number says nothing of others.
pub fn student(freedom: usize) -> f64 {
    if freedom == 0 {
        return f64::INFINITY;
    }
    // 12.71 at one degree of freedom is the largest.
    let (mut low, mut high) = (1.0_f64, 16.0_f64);
    while high - low > 1e-13 * high {
        let middle = f64::midpoint(low, high);
        if within(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The chance of `|t| < value`: for whole degrees of freedom a finite sum (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4).
fn within(value: f64, freedom: usize) -> f64 {
    let angle = (value / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // Each term of the sum is the one before, times cos^2 and the next of the ratios 1/2, 3/4, ... or 2/3, 4/5, ...
    let (mut term, first) = if odd { (cosine, 2) } else { (1.0, 1) };
    let mut sum = if odd && freedom == 1 { 0.0 } else { term };
    for numerator in (first..freedom.saturating_sub(2)).step_by(2) {
        term *= cosine * cosine * numerator as f64 / (numerator + 1) as f64;
        sum += term;
    }
    if odd { std::f64::consts::FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// Abramowitz and Stegun 1964, table 26.10, to its three decimals; 1 and 2 degrees in closed form.
    #[test]
    fn quantiles_are_the_published_ones() {
        for (freedom, expected) in [
            (3, 3.182),
            (4, 2.776),
            (5, 2.571),
            (9, 2.262),
            (10, 2.228),
            (19, 2.093),
            (30, 2.042),
            (120, 1.980),
        ] {
            assert_abs_diff_eq!(student(freedom), expected, epsilon = 6e-4);
        }
        let exact = (0.95 * std::f64::consts::FRAC_PI_2).tan();
        assert_abs_diff_eq!(student(1), exact, epsilon = 1e-9);
        let exact = 0.95 * (2.0 / (1.0 - 0.95_f64.powi(2))).sqrt();
        assert_abs_diff_eq!(student(2), exact, epsilon = 1e-9);
        assert_eq!(student(0), f64::INFINITY);
    }

    #[test]
    fn more_freedom_is_less_noise() {
        let all: Vec<f64> = (1..200).map(student).collect();
        assert!(all.windows(2).all(|pair| pair[0] > pair[1]));
        assert!(all.last().is_some_and(|last| *last > 1.96 && *last < 1.975));
    }
}
