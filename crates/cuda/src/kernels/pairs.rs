//! Losses of examples that are scored twice, clean and perturbed. The formulas are in `sources/pairs.cu`.

use super::arguments::launch;
use super::{Buffer, Context, PACK, Real, Result};

/// What is lowered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PairLoss {
    /// `CE(z, y) + lambda KL(p || q)` (Zhang et al. 2019), the cross-entropy's labels smoothed.
    Trades {
        /// Weight of the divergence.
        lambda: f64,
        /// Share of the target that all classes have alike.
        smoothing: f64,
    },
    /// Boosted cross-entropy and a weighted divergence (Wang et al. 2020, equation 11).
    Mart {
        /// Weight of the divergence.
        lambda: f64,
    },
}

/// What a loss comes to for each example.
#[derive(Debug)]
pub struct PairLosses {
    /// f64 `[n]`.
    pub values: Buffer<f64>,
    /// The first highest score `[n]`, clean and perturbed.
    pub predictions: [Buffer<u32>; 2],
}

impl PairLoss {
    /// Losses of `[clean, perturbed]` rows of `classes` scores, and their gradients times `weight` into `gradients`.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// # Panics
    /// If the buffers do not fit, or there are fewer than two classes. Labels must be below their number.
    pub fn losses(
        &self,
        context: &Context,
        (classes, weight): (usize, f64),
        [clean, perturbed]: [&Buffer<Real>; 2],
        labels: &Buffer<u32>,
        gradients: [&Buffer<Real>; 2],
    ) -> Result<PairLosses> {
        let count = labels.len();
        let channels = check(classes, count, &[clean, perturbed, gradients[0], gradients[1]]);
        let predictions = [context.buffer(count)?, context.buffer(count)?];
        let losses = PairLosses { values: context.buffer(count)?, predictions };
        let PairLosses { values, predictions: [first, second] } = &losses;
        let [on_clean, on_perturbed] = gradients;
        // SAFETY: lengths were checked.
        unsafe {
            match *self {
                Self::Trades { lambda, smoothing } => launch!(context, "trades", count;
                    clean, perturbed, labels, classes as i32, channels, lambda, smoothing, weight, count as i64,
                    values, first, second, on_clean, on_perturbed)?,
                Self::Mart { lambda } => launch!(context, "mart", count;
                    clean, perturbed, labels, classes as i32, channels, lambda, weight, count as i64,
                    values, first, second, on_clean, on_perturbed)?,
            }
        }
        Ok(losses)
    }
}

/// The gradient on `rows` of scores of `KL(p || q)`, p from the `clean` rows, which stand still, q from `rows`.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If the buffers do not fit.
pub fn divergence_gradient(
    context: &Context,
    classes: usize,
    [clean, rows]: [&Buffer<Real>; 2],
    gradient: &Buffer<Real>,
) -> Result<()> {
    let count = rows.len() / classes.next_multiple_of(PACK);
    let channels = check(classes, count, &[clean, rows, gradient]);
    // SAFETY: lengths were checked.
    unsafe {
        launch!(context, "divergence_gradient", count;
            clean, rows, classes as i32, channels, count as i64, gradient)
    }
}

fn check(classes: usize, count: usize, buffers: &[&Buffer<Real>]) -> i32 {
    let channels = classes.next_multiple_of(PACK);
    assert!(classes >= 2, "{classes} classes");
    assert!(buffers.iter().all(|rows| rows.len() == count * channels), "{count} rows of {classes} scores");
    channels as i32
}
