//! Is this a classifier that can be attacked? Checks on models and images that somebody else brought.

#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use robin_core::{Batch, Classifier, Columns, Evaluation, Objective, Purpose, Scores, Seed, host};
use serde::Serialize;

use crate::{Error, Result};

/// How gradients are probed.
#[derive(Debug, Clone, Copy)]
pub struct GradientProbe {
    /// Images looked at, at most.
    pub images: usize,
    /// Random directions for each.
    pub directions: usize,
    /// Displacements of a pixel (standard deviation); the one where claim and measurement agree best counts,
    /// because f32 rounding drowns short ones and kinks lie in the way of long ones, and a wrong gradient is
    /// wrong at all.
    pub steps: &'static [f64],
    /// The largest median disagreement that passes.
    pub tolerance: f64,
}

impl GradientProbe {
    /// 8 images, 8 directions. Networks with kinks in f32 are within 0.03; candle's max-pooling, a cut branch
    /// or a forgotten factor are off by more than half.
    pub const STANDARD: Self =
        Self { images: 8, directions: 8, steps: &[1e-2, 3e-3, 1e-3, 3e-4, 1e-4], tolerance: 0.1 };
}

/// What the probe of a classifier's gradient found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GradientReport {
    /// Median over images and directions of |claimed - measured|, over the larger of both and of what is
    /// usual for a gradient of this length.
    pub median_error: f64,
    /// The displacement that this belongs to.
    pub step: f64,
    /// Probes that moved anything.
    pub moved: usize,
    /// Probes where neither the scores nor the claimed gradient moved: they prove nothing.
    pub flat: usize,
    /// The largest median error that passes.
    pub tolerance: f64,
}

impl GradientReport {
    /// Whether the gradient can be believed.
    pub fn is_true(&self) -> bool {
        self.moved > self.flat && self.median_error <= self.tolerance
    }
}

/// Compares the classifier's input gradient with central differences in random directions.
///
/// The function that is differentiated is a fixed random combination of all scores.
///
/// # Errors
/// As the classifier's, [`robin_core::Error::GraphCut`] among them; [`Error::Empty`] without images.
pub fn probe_gradient(
    model: &dyn Classifier,
    images: &Tensor,
    probe: GradientProbe,
    seed: Seed,
) -> Result<GradientReport> {
    let mut stream = seed.derive(Purpose::GradientProbe, 0).root_stream();
    let weights = (0..model.num_classes())
        .map(|_| (0.5 + stream.uniform()) * if stream.bits() & 1 == 0 { 1.0 } else { -1.0 })
        .collect();
    let (n, _) = host::image_rows("images", images)?;
    probe_objective(model, &Combination { weights, n: n.min(probe.images) }, images, probe, seed)
}

/// Compares the input gradient of `objective`, which is prepared for the first images at least, in the same
/// way.
///
/// # Errors
/// As [`probe_gradient`].
pub fn probe_objective(
    model: &dyn Classifier,
    objective: &dyn Objective,
    images: &Tensor,
    probe: GradientProbe,
    seed: Seed,
) -> Result<GradientReport> {
    let (n, length) = host::image_rows("images", images)?;
    let n = n.min(probe.images);
    if n == 0 || length == 0 {
        return Err(Error::Empty);
    }
    let images = images.narrow(0, 0, n)?.contiguous()?;
    let objective = objective.select(&(0..n).collect::<Vec<_>>());
    let columns = objective.columns();
    let pass = model.forward(&images, &columns)?;
    let upstream = objective.evaluate(pass.scores())?.score_gradient;
    let gradient = host::to_vec(&pass.input_gradient(&upstream)?)?;
    let point = host::to_vec(&images)?;
    let values = |pixels: &[f32]| -> Result<Vec<f32>> {
        let scores = model.scores(&Tensor::from_slice(pixels, images.dims(), &Device::Cpu)?, &columns)?;
        Ok(objective.evaluate(&scores)?.values)
    };
    let mut best: Option<GradientReport> = None;
    for &step in probe.steps {
        let (mut errors, mut flat) = (Vec::new(), 0);
        for direction in 0..probe.directions as u64 {
            let mut stream = seed.derive(Purpose::GradientProbe, 1 + direction).root_stream();
            let (above, below): (Vec<f32>, Vec<f32>) = point
                .iter()
                .map(|&x| {
                    let change = step * stream.gaussian();
                    ((f64::from(x) + change) as f32, (f64::from(x) - change) as f32)
                })
                .unzip();
            let (up, down) = (values(&above)?, values(&below)?);
            for row in 0..n {
                let part = row * length..(row + 1) * length;
                let measured = f64::from(up[row]) - f64::from(down[row]);
                match disagreement(&gradient[part.clone()], &above[part.clone()], &below[part], measured) {
                    Some(error) => errors.push(error),
                    None => flat += 1,
                }
            }
        }
        errors.sort_by(f64::total_cmp);
        let median_error = errors.get(errors.len() / 2).copied().unwrap_or(f64::INFINITY);
        // A step at which nothing moves reports infinity, and is kept only if all do.
        if best.is_none_or(|best| median_error < best.median_error) {
            let (moved, tolerance) = (errors.len(), probe.tolerance);
            best = Some(GradientReport { median_error, step, moved, flat, tolerance });
        }
    }
    best.ok_or(Error::Empty)
}

/// A weighted sum of all scores.
struct Combination {
    weights: Vec<f32>,
    n: usize,
}

impl Objective for Combination {
    fn columns(&self) -> Columns {
        Columns::All
    }

    fn evaluate(&self, scores: &Scores) -> robin_core::Result<Evaluation> {
        let (n, width) = (self.n, self.weights.len());
        let row = |row: &[f32]| {
            row.iter().zip(&self.weights).map(|(s, w)| f64::from(*s) * f64::from(*w)).sum::<f64>()
        };
        let values = scores.to_vec()?.chunks_exact(width).map(|scores| row(scores) as f32).collect();
        let score_gradient = Tensor::from_vec(self.weights.repeat(n), (n, width), &Device::Cpu)?;
        Ok(Evaluation { values, score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { weights: self.weights.clone(), n: rows.len() })
    }
}

/// |claimed - measured| of one direction, relative; `None` if nothing moved.
fn disagreement(gradient: &[f32], above: &[f32], below: &[f32], measured: f64) -> Option<f64> {
    let (mut claimed, mut gradient_square, mut moved_square) = (0.0, 0.0, 0.0);
    for ((&g, &a), &b) in gradient.iter().zip(above).zip(below) {
        // As it was rounded, so that f32 images cost no accuracy.
        let (g, moved) = (f64::from(g), f64::from(a) - f64::from(b));
        claimed += g * moved;
        gradient_square += g * g;
        moved_square += moved * moved;
    }
    let usual = (gradient_square * moved_square / gradient.len() as f64).sqrt();
    let scale = measured.abs().max(claimed.abs()).max(usual);
    let error = (claimed - measured).abs() / scale;
    (scale != 0.0).then_some(if error.is_nan() { f64::INFINITY } else { error })
}

/// A row of scores sums to 1 within this.
const SUM_TOLERANCE: f64 = 1e-4;

/// Refuses probabilities: every row in `[0, 1]`, summing to 1 within 1e-4. Saturated probabilities have no
/// gradient, and an attack on them measures nothing.
///
/// # Errors
/// [`Error::Probabilities`]; [`robin_core::Error::NotFinite`] for a score that is no number.
pub fn refuse_probabilities(scores: &Scores) -> Result<()> {
    let values = scores.to_vec()?;
    let probabilities = |row: &[f32]| {
        row.iter().all(|p| (0.0..=1.0).contains(p))
            && (row.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() <= SUM_TOLERANCE
    };
    let suspicious = !values.is_empty() && values.chunks_exact(scores.columns()).all(probabilities);
    if suspicious { Err(Error::Probabilities { rows: scores.len() }) } else { Ok(()) }
}

/// Everything at once, before any attack: images in the box, labels that the classifier has, scores that are
/// numbers and no probabilities, and a gradient that is one. `batch` holds some of the images.
///
/// # Errors
/// The first thing that is wrong; [`Error::BadGradient`] unless results shall be marked
/// instead ([`GradientReport::is_true`]).
pub fn check(
    model: &dyn Classifier,
    batch: &Batch,
    bad_gradients: BadGradients,
    seed: Seed,
) -> Result<GradientReport> {
    batch.validate(model.num_classes())?;
    refuse_probabilities(&model.scores(&batch.images, &Columns::All)?)?;
    let report = probe_gradient(model, &batch.images, GradientProbe::STANDARD, seed)?;
    match (report.is_true(), bad_gradients) {
        (false, BadGradients::Refuse) => Err(Error::BadGradient { report }),
        _ => Ok(report),
    }
}

/// What happens to a classifier whose gradient is not that of its scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadGradients {
    /// It is an error: gradient attacks on it mean nothing.
    Refuse,
    /// It is attacked all the same, and every result is marked.
    Mark,
}
