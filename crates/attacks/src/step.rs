//! One step of steepest ascent on one image.

use robin_core::{Budget, Norm};

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The image moved, and is within the budget again.
    Moved,
    /// The gradient was exactly zero: the image is where it was.
    ZeroGradient,
}

/// Moves `image` by `step_size` (pixels) in the direction that raises a linear function fastest within the
/// budget's norm (linf: the sign, with sign(0) = 0; l2: the gradient over its own length), then projects.
pub(crate) fn step_image(
    budget: Budget,
    step_size: f64,
    clean: &[f32],
    gradient: &[f32],
    image: &mut [f32],
) -> Step {
    match budget.norm {
        Norm::Linf => {
            if gradient.iter().all(|&g| g == 0.0) {
                return Step::ZeroGradient;
            }
            let step_size = step_size as f32;
            for (x, &g) in image.iter_mut().zip(gradient) {
                // Not `signum`, which is 1 at 0.
                *x += step_size * (f32::from(g > 0.0) - f32::from(g < 0.0));
            }
        }
        Norm::L2 => {
            // In f64, where neither the squares nor the scale of a tiny gradient leave the range.
            let length = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            if length == 0.0 {
                return Step::ZeroGradient;
            }
            let scale = step_size / length;
            for (x, &g) in image.iter_mut().zip(gradient) {
                *x += (scale * f64::from(g)) as f32;
            }
        }
    }
    budget.project_image(clean, image);
    Step::Moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn budget(norm: Norm) -> Budget {
        Budget { norm, epsilon: "0.5".parse().unwrap() }
    }

    #[test]
    fn linf_moves_by_the_sign_and_leaves_pixels_without_gradient() {
        let clean = [0.5, 0.5, 0.5];
        let mut image = clean;
        let step = step_image(budget(Norm::Linf), 0.125, &clean, &[1e-30, -7.0, 0.0], &mut image);
        assert_eq!((step, image), (Step::Moved, [0.625, 0.375, 0.5]));
    }

    #[test]
    fn l2_moves_by_the_direction_however_small_the_gradient() {
        let clean = [0.5, 0.5];
        for factor in [1.0, 1e-44_f32 / 3.0, 1e37] {
            let gradient = [3.0 * factor, -4.0 * factor];
            // The smallest f32 numbers are rounded: the direction is what is left of them.
            let length = f64::from(gradient[0]).hypot(f64::from(gradient[1]));
            let expected = gradient.map(|g| 0.25 * f64::from(g) / length);
            let mut image = clean;
            step_image(budget(Norm::L2), 0.25, &clean, &gradient, &mut image);
            for ((x, c), e) in image.iter().zip(clean).zip(expected) {
                assert_abs_diff_eq!(f64::from(x - c), e, epsilon = 1e-7);
            }
        }
    }

    #[test]
    fn a_zero_gradient_makes_no_step() {
        for norm in [Norm::L2, Norm::Linf] {
            let (clean, mut image) = ([0.5; 2], [0.75, 0.5]);
            let step = step_image(budget(norm), 0.125, &clean, &[0.0, -0.0], &mut image);
            assert_eq!((step, image), (Step::ZeroGradient, [0.75, 0.5]));
        }
    }
}
