//! Is this a classifier that can be attacked? Checks on models and images that somebody else brought.

mod probes;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use robin_core::{Batch, Classifier, Columns, Objective, ObjectiveValues, Purpose, Scores, Seed, host};
use serde::Serialize;

use self::probes::{Seen, inside, summed_up};
use crate::{Error, Explained, Result};

/// For those who ask what [`GradientVerdict::False`] means.
pub const GRADIENT_FALSE: Explained = Explained {
    name: "gradient-false",
    means: "Before any attack, the gradient of the classifier's scores was compared with finite differences, and it is not \
            theirs. Attacks by gradients follow a wrong direction, and their accuracies say nothing.",
    todo: "Mend the model's derivative, or export the model without the operation that has none. --allow-bad-gradients \
           attacks all the same and marks every result.",
};

/// For those who ask what [`GradientVerdict::Flat`] means.
pub const GRADIENT_FLAT: Explained = Explained {
    name: "gradient-flat",
    means: "On many images neither the scores nor their gradient move when pixels do: the model is constant there, \
            rounds its input, or is saturated. Gradients lead nowhere, and images that survive them are not robust by \
            their word.",
    todo: "Attack the model without rounding or thresholds, or through an approximation of them, and with square, which \
           needs no gradient.",
};

/// How gradients are probed.
#[derive(Debug, Clone, Copy)]
pub struct GradientProbe {
    /// Images looked at at once, at most.
    pub images: usize,
    /// Random directions for each.
    pub directions: usize,
    /// Displacements of a pixel (standard deviation); the one where claim and measurement agree best counts,
    /// because f32 rounding drowns short ones and kinks lie in the way of long ones, and a wrong gradient is
    /// wrong at all.
    pub steps: &'static [f64],
    /// The largest median disagreement that passes.
    pub tolerance: f64,
    /// The fewest probes that must have moved something before they are believed, or all where there are fewer.
    pub least: usize,
}

impl GradientProbe {
    /// 16 images at once, 4 directions. Networks with kinks in f32 are within 0.03; candle's max-pooling, a cut
    /// branch or a forgotten factor are off by more than half.
    pub const STANDARD: Self =
        Self { images: 16, directions: 4, steps: &[1e-2, 3e-3, 1e-3, 3e-4, 1e-4], tolerance: 0.1, least: 16 };
}

/// What is known about a classifier's gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientVerdict {
    /// It is that of the scores.
    True,
    /// It is not: an attack that follows it says nothing.
    False,
    /// Too few probes moved anything, neither by the scores nor by the gradient: nothing is wrong with the gradient, but it
    /// does not lead anywhere either. A constant classifier is flat everywhere.
    Flat,
}

/// What the probe of a classifier's gradient found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GradientReport {
    /// Median over images and directions of |claimed - measured|, over the larger of both and of what is
    /// usual for a gradient of this length; infinite where nothing moved.
    pub median_error: f64,
    /// The displacement that this belongs to.
    pub step: f64,
    /// Probes that moved anything there.
    pub moved: usize,
    /// Probes where neither the scores nor the claimed gradient moved by more than scores are rounded: they prove
    /// nothing.
    pub flat: usize,
    /// The share of those at the displacement where they are fewest.
    pub flat_share: f64,
    /// Images looked at.
    pub images: usize,
    /// Images most of whose own probes are off by more than half.
    pub images_off: usize,
    /// The largest median error that passes.
    pub tolerance: f64,
    /// What follows from that.
    pub verdict: GradientVerdict,
}

impl GradientReport {
    /// Whether the gradient can be believed: nothing is false about it. A flat one is true, and leads nowhere.
    pub fn is_true(&self) -> bool {
        self.verdict != GradientVerdict::False
    }
}

/// Compares the classifier's input gradient with central differences in random directions.
///
/// The function that is differentiated is a fixed random combination of all scores. `images` are looked at
/// [`GradientProbe::images`] at a time, until those looked at so far have shown the gradient to be true: neither
/// flat nor false is the word of a few images while there are more. Pixels are first moved a little into the box (by less
/// than 1/255), because a plain background can lie exactly on a network's kinks, where there is no derivative.
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
    probe_objective(model, &Combination { weights, n }, images, probe, seed)
}

/// Compares the input gradient of `objective`, which is prepared for these images, in the same way.
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
    if n == 0 || length == 0 || probe.images == 0 {
        return Err(Error::Empty);
    }
    let mut seen: Vec<Seen> = probe.steps.iter().map(|&step| Seen::new(step)).collect();
    let mut looked = 0;
    loop {
        let rows: Vec<usize> = (looked..n.min(looked + probe.images)).collect();
        let own = objective.select(&rows);
        let batch = images.narrow(0, looked, rows.len())?.contiguous()?;
        let batch = inside(&batch, seed, looked)?;
        for seen in &mut seen {
            seen.look(model, own.as_ref(), &batch, probe, seed, looked)?;
        }
        looked += rows.len();
        let report = summed_up(&seen, probe, looked);
        if report.verdict == GradientVerdict::True || looked == n {
            return Ok(report);
        }
    }
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

    fn evaluate(&self, scores: &Scores) -> robin_core::Result<ObjectiveValues> {
        let (n, width) = (self.n, self.weights.len());
        let row = |row: &[f32]| {
            row.iter().zip(&self.weights).map(|(s, w)| f64::from(*s) * f64::from(*w)).sum::<f64>()
        };
        let values = scores.to_vec()?.chunks_exact(width).map(|scores| row(scores) as f32).collect();
        let score_gradient = Tensor::from_vec(self.weights.repeat(n), (n, width), &Device::Cpu)?;
        Ok(ObjectiveValues { values, score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { weights: self.weights.clone(), n: rows.len() })
    }
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
/// numbers and no probabilities, and a gradient that is one. `batch` holds some of the images, from all over the set
/// ([`crate::scattered()`]) in an order that says nothing; the first few decide where they can, all of them where they cannot
/// ([`probe_gradient`]).
///
/// A flat gradient is no error ([`GradientVerdict::Flat`]).
///
/// # Errors
/// The first thing that is wrong; [`Error::BadGradient`] for a false gradient, unless results shall be marked
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
