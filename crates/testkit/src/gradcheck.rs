//! Claimed gradients against finite differences, in random directions.

use candle_core::Tensor;
use robin_core::{Classifier, Objective, Purpose, Result, Seed, host};

/// How to probe: which directions, how far.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Number of random directions (Gaussian, independent per element).
    pub directions: usize,
    /// Standard deviations of the displacement of one element, in the unit of the input. The one at which
    /// claimed and measured agree best is reported: too small a step drowns in rounding, too large a one
    /// crosses kinks, and a wrong gradient is wrong at all of them.
    pub steps: &'static [f64],
    /// Where the directions come from.
    pub seed: Seed,
}

impl Probe {
    /// For smooth functions computed in f64; errors of 1e-6 and less are normal.
    pub const F64: Self = Self { directions: 8, steps: &[1e-4, 1e-5], seed: Seed::new(0) };
    /// For functions computed in f32. Errors of 1e-3 are normal for smooth ones, a median of 1e-2 for networks
    /// with kinks (freshly initialised `cnn2` of width 4: 1e-2 at step 3e-4, more on either side of it).
    pub const F32: Self = Self { directions: 16, steps: &[1e-2, 3e-3, 1e-3, 3e-4, 1e-4], seed: Seed::new(0) };
}

/// Element type of the functions that [`gradcheck`] probes.
pub trait Element: Copy + Into<f64> {
    /// Nearest value of this type.
    fn nearest(value: f64) -> Self;
}

impl Element for f32 {
    fn nearest(value: f64) -> Self {
        value as f32
    }
}

impl Element for f64 {
    fn nearest(value: f64) -> Self {
        value
    }
}

/// Compares `gradient`, claimed to be the derivative of `function` at `point`, with central differences.
///
/// For an operation with many outputs make `function` their sum weighted by [`output_weights`], and use the
/// same weights as upstream gradient: a bare sum hides errors of placement and scale.
///
/// # Panics
/// If the lengths differ.
pub fn gradcheck<T: Element>(
    point: &[T],
    gradient: &[T],
    probe: Probe,
    mut function: impl FnMut(&[T]) -> f64,
) -> Agreement {
    assert_eq!(point.len(), gradient.len(), "a gradient has the length of its point");
    probe.best_step(|step| {
        let compared = (0..probe.directions).map(|number| {
            let (above, below) = displaced(point, step, probe.seed, number);
            compare(gradient, &above, &below, function(&above) - function(&below))
        });
        compared.collect()
    })
}

/// Compares [`robin_core::Pass::input_gradient`] with differences of `objective`, for every image of a batch
/// `[n, c, h, w]` and every direction apart (`n * directions` errors). The displaced images may leave the box.
///
/// The executors work in f32 and their networks have kinks (ReLU, pooling), so a single direction may be off
/// although the gradient is right: assert on the median. A gradient wrong in scale, sign or place moves that
/// too, and a vanishing one is caught by [`Agreement::assert_median_within`] itself.
///
/// # Errors
/// As the model's and objective's.
pub fn check_input_gradient(
    model: &dyn Classifier,
    objective: &dyn Objective,
    images: &Tensor,
    probe: Probe,
) -> Result<Agreement> {
    let columns = objective.columns();
    let (n, length) = host::image_rows("images", images)?;
    let pass = model.forward(images, &columns)?;
    let upstream = objective.evaluate(pass.scores())?.score_gradient;
    let gradient = host::to_vec(&pass.input_gradient(&upstream)?)?;
    let point = host::to_vec(images)?;

    let values = |pixels: &[f32]| -> Result<Vec<f32>> {
        let displaced = Tensor::from_slice(pixels, images.dims(), images.device())?;
        Ok(objective.evaluate(&model.scores(&displaced, &columns)?)?.values)
    };
    let mut failed = None;
    let agreement = probe.best_step(|step| {
        let mut compared = Vec::new();
        for number in 0..probe.directions {
            let (above, below) = displaced(&point, step, probe.seed, number);
            match (values(&above), values(&below)) {
                (Ok(up), Ok(down)) => compared.extend((0..n).map(|row| {
                    let part = row * length..(row + 1) * length;
                    let change = f64::from(up[row]) - f64::from(down[row]);
                    compare(&gradient[part.clone()], &above[part.clone()], &below[part], change)
                })),
                (Err(error), _) | (_, Err(error)) => failed = Some(error),
            }
        }
        compared
    });
    failed.map_or(Ok(agreement), Err)
}

/// Fixed random weights in `[0.5, 1.5)` with random signs, for the outputs of the operation under test: no two
/// are alike and none is near zero.
pub fn output_weights(count: usize, seed: Seed) -> Vec<f32> {
    let mut stream = seed.derive(Purpose::Test, 2).root_stream();
    (0..count)
        .map(|_| {
            let sign = if stream.bits() & 1 == 0 { 1.0 } else { -1.0 };
            sign * (0.5 + stream.uniform())
        })
        .collect()
}

/// How well a claimed gradient agrees with finite differences.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// One per direction that moved anything, ascending: |claimed - measured| change of the function, over the
    /// largest of both and of the change that is typical for this gradient's length. (The last keeps a
    /// direction that happens to be nearly orthogonal to the gradient from dominating.)
    pub relative_errors: Vec<f64>,
    /// Directions in which neither the function nor the claimed gradient moved at all: they prove nothing.
    pub flat: usize,
    /// The displacement that these errors belong to.
    pub step: f64,
}

impl Agreement {
    /// Largest relative error; infinite if nothing moved.
    pub fn largest(&self) -> f64 {
        self.relative_errors.last().copied().unwrap_or(f64::INFINITY)
    }

    /// Median relative error; infinite if nothing moved in half of the directions or more.
    pub fn median(&self) -> f64 {
        match self.relative_errors.len() {
            moved if moved <= self.flat => f64::INFINITY,
            moved => self.relative_errors[moved / 2],
        }
    }

    /// For smooth functions.
    ///
    /// # Panics
    /// If any direction is off by more than `tolerance`, or half of them or more prove nothing.
    #[track_caller]
    pub fn assert_all_within(&self, tolerance: f64) {
        assert!(self.median().max(self.largest()) <= tolerance, "largest allowed {tolerance:e}: {self:?}");
    }

    /// For functions with kinks.
    ///
    /// # Panics
    /// If the median direction is off by more than `tolerance`, or half of them or more prove nothing.
    #[track_caller]
    pub fn assert_median_within(&self, tolerance: f64) {
        assert!(self.median() <= tolerance, "median allowed {tolerance:e}, is {:e}: {self:?}", self.median());
    }
}

impl Probe {
    fn best_step(self, mut errors_at: impl FnMut(f64) -> Vec<Option<f64>>) -> Agreement {
        let agreements = self.steps.iter().map(|&step| {
            let errors = errors_at(step);
            let mut relative_errors: Vec<f64> = errors.iter().flatten().copied().collect();
            relative_errors.sort_by(f64::total_cmp);
            Agreement { flat: errors.len() - relative_errors.len(), relative_errors, step }
        });
        agreements.min_by(|a, b| a.median().total_cmp(&b.median())).expect("a probe has at least one step")
    }
}

/// `point` moved both ways along random direction `number`.
fn displaced<T: Element>(point: &[T], step: f64, seed: Seed, number: usize) -> (Vec<T>, Vec<T>) {
    let mut stream = seed.derive(Purpose::Test, 3).derive(Purpose::Test, number as u64).root_stream();
    let pairs = point.iter().map(|&x| {
        let (x, change) = (x.into(), step * stream.gaussian());
        (T::nearest(x + change), T::nearest(x - change))
    });
    pairs.unzip()
}

/// Relative error of one direction, `None` if nothing moved. The claim is taken on the displacement as it was
/// rounded, so that f32 inputs cost no accuracy.
fn compare<T: Element>(gradient: &[T], above: &[T], below: &[T], measured: f64) -> Option<f64> {
    let (mut claimed, mut gradient_square, mut displacement_square) = (0.0, 0.0, 0.0);
    for ((&g, &a), &b) in gradient.iter().zip(above).zip(below) {
        let (g, displacement): (f64, f64) = (g.into(), a.into() - b.into());
        claimed += g * displacement;
        gradient_square += g * g;
        displacement_square += displacement * displacement;
    }
    // The standard deviation of `claimed` over random directions of this length.
    let typical = (gradient_square * displacement_square / gradient.len().max(1) as f64).sqrt();
    let scale = measured.abs().max(claimed.abs()).max(typical);
    // NaN anywhere makes an infinite error, never an agreement.
    let error = (claimed - measured).abs() / scale;
    if scale == 0.0 { None } else { Some(if error.is_nan() { f64::INFINITY } else { error }) }
}

#[cfg(test)]
mod tests;
