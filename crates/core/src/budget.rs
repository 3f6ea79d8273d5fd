//! How far a perturbation may go: projection onto the budget, and verification of the result.

use std::fmt;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Epsilon, Error, Norm, Result, host};

/// Relative slack of [`Budget::verify`]: twenty projected f32 steps end at up to 1.0000011 times epsilon by
/// rounding alone.
pub const RELATIVE_SLACK: f64 = 1e-5;

/// Absolute slack of [`Budget::verify`] in pixels: a pixel near 1 cannot be placed more finely than `2^-24`,
/// which is more than the relative slack allows below linf 1/255.
pub const ABSOLUTE_SLACK: f64 = 1.0 / (1 << 23) as f64;

/// The set of allowed perturbed images: within `epsilon` of the clean image, and in the box `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// How size is measured.
    pub norm: Norm,
    /// The largest size, in pixels.
    pub epsilon: Epsilon,
}

impl Budget {
    /// The nearest point of the ball around `clean`, then of the box. Clamping to the box cannot leave the
    /// ball, because `clean` is in the box.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes differ.
    pub fn project(&self, clean: &Tensor, candidate: &Tensor) -> Result<Tensor> {
        host::map_images(clean, candidate, |_, clean, candidate| self.project_image(clean, candidate))
    }

    /// [`Budget::project`] for one image, in place.
    pub fn project_image(&self, clean: &[f32], candidate: &mut [f32]) {
        let epsilon = self.epsilon.get();
        match self.norm {
            Norm::Linf => {
                let epsilon = epsilon as f32;
                for (&c, x) in clean.iter().zip(candidate) {
                    *x = x.clamp(c - epsilon, c + epsilon).clamp(0.0, 1.0);
                }
            }
            Norm::L2 => {
                let size = Norm::L2.distance(clean, candidate);
                let scale = if size > epsilon { (epsilon / size) as f32 } else { 1.0 };
                for (&c, x) in clean.iter().zip(candidate) {
                    let moved = if scale == 1.0 { *x } else { c + scale * (*x - c) };
                    *x = moved.clamp(0.0, 1.0);
                }
            }
        }
    }

    /// Checks every example: finite, in the box, within epsilon up to [`RELATIVE_SLACK`] and
    /// [`ABSOLUTE_SLACK`].
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::OutsideBox`] or [`Error::OverBudget`] for the first offender.
    pub fn verify(&self, clean: &Tensor, perturbed: &Tensor) -> Result<()> {
        let mut fault = None;
        host::map_images(clean, perturbed, |example, clean, perturbed| {
            if fault.is_none() {
                fault = self.fault(example, clean, perturbed);
            }
        })?;
        fault.map_or(Ok(()), Err)
    }

    fn fault(&self, example: usize, clean: &[f32], perturbed: &[f32]) -> Option<Error> {
        for (pixel, &value) in perturbed.iter().enumerate() {
            if !value.is_finite() {
                return Some(Error::NotFinite { what: "perturbed pixel", example, value });
            }
            if !(0.0..=1.0).contains(&value) {
                return Some(Error::OutsideBox { example, pixel, value });
            }
        }
        let size = self.norm.distance(clean, perturbed);
        let epsilon = self.epsilon.get();
        let allowed = epsilon * (1.0 + RELATIVE_SLACK) + ABSOLUTE_SLACK;
        (size > allowed).then_some(Error::OverBudget { example, norm: self.norm, size, epsilon })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.norm, self.epsilon))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use proptest::prelude::*;

    use super::*;

    fn budgets() -> impl Strategy<Value = Budget> {
        let radii = prop_oneof![0.0..3.0_f64, 0.0..0.01_f64];
        (prop_oneof![Just(Norm::L2), Just(Norm::Linf)], radii)
            .prop_map(|(norm, epsilon)| Budget { norm, epsilon: Epsilon::new(epsilon).unwrap() })
    }

    fn tensor(values: Vec<f32>) -> Tensor {
        let length = values.len();
        Tensor::from_vec(values, (1, 1, 1, length), &Device::Cpu).unwrap()
    }

    proptest! {
        #[test]
        fn projection_stays_in_budget_and_is_idempotent(
            budget in budgets(),
            pairs in proptest::collection::vec((0.0..=1.0_f32, -3.0..4.0_f32), 1..40),
        ) {
            let (clean, far): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (clean, far) = (tensor(clean), tensor(far));
            let once = budget.project(&clean, &far).unwrap();
            budget.verify(&clean, &once).unwrap();
            let twice = host::to_vec(&budget.project(&clean, &once).unwrap()).unwrap();
            for (a, b) in host::to_vec(&once).unwrap().iter().zip(&twice) {
                prop_assert!((a - b).abs() <= 1e-6);
            }
        }

        #[test]
        fn a_point_inside_is_left_alone(
            budget in budgets(),
            clean in proptest::collection::vec(0.0..=1.0_f32, 1..40),
        ) {
            let clean = tensor(clean);
            let same = budget.project(&clean, &clean).unwrap();
            prop_assert_eq!(host::to_vec(&same).unwrap(), host::to_vec(&clean).unwrap());
        }
    }

    #[test]
    fn verification_names_example_size_and_epsilon() {
        let budget = Budget { norm: Norm::L2, epsilon: Epsilon::new(0.5).unwrap() };
        let clean = Tensor::zeros((2, 1, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let at = |values: &[f32]| Tensor::from_slice(values, (2, 1, 2, 2), &Device::Cpu).unwrap();
        let over = at(&[0.0, 0.0, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0]);
        assert!(matches!(
            budget.verify(&clean, &over),
            Err(Error::OverBudget { example: 1, size, .. }) if (size - 0.6).abs() < 1e-6
        ));
        let outside = at(&[0.0, -0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(matches!(
            budget.verify(&clean, &outside),
            Err(Error::OutsideBox { example: 0, pixel: 1, .. })
        ));
        let nan = at(&[f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(matches!(budget.verify(&clean, &nan), Err(Error::NotFinite { example: 0, .. })));
    }
}
