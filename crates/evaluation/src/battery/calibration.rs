//! T22: each score's own scale and offset, fitted on every second image and judged on the others. Arms
//! that were trained apart need not be on one scale; a robustness that a refit takes away lay in the scales.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, ExampleId};
use robin_data::LabelMap;

use super::context::{EvaluationContext, Kind, number, pgd};
use super::transformed::{Affine, Decides, Transformed};
use super::{Answer, Status};
use crate::{Explained, Options, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "recalibration-weakens",
    means: "Each arm's scores with a scale and offset of their own are clearly easier to attack: part of the \
            robustness lay in arms that are on different scales.",
    todo: "Report the accuracy after calibration beside the other one, and calibrate arms on held-out images \
            before they are joined.",
};

/// Bins of the expected calibration error.
const BINS: usize = 10;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    if context.kind == Kind::Whole {
        let note = "the scores are no binary log-odds, so each by itself has no calibration";
        return Ok(Answer::new(Status::Skipped, [], note));
    }
    let (n, classes) = (context.images(), context.model.num_classes());
    if n < 4 {
        return Ok(Answer::new(Status::Skipped, [], "too few images to fit and to judge"));
    }
    let ids: Vec<ExampleId> = (0..n as u32).map(ExampleId::first).collect();
    let batch = context.data.batch(&ids, &LabelMap::Identity)?;
    let scores = context.model.scores(&batch.images, &Columns::All)?.to_vec()?;
    let (mut map, mut before, mut after) =
        (Affine { factors: Vec::new(), shifts: Vec::new() }, Vec::new(), Vec::new());
    for class in 0..classes {
        let all: Vec<(f64, bool)> = (0..n)
            .map(|at| (f64::from(scores[at * classes + class]), batch.labels[at] as usize == class))
            .collect();
        // By turns, because the halves of a set that lies sorted have other classes.
        let fitted: Vec<(f64, bool)> = all.iter().copied().step_by(2).collect();
        let judged: Vec<(f64, bool)> = all.into_iter().skip(1).step_by(2).collect();
        let (factor, shift) = logistic(&fitted);
        before.push(calibration_error(&judged, 1.0, 0.0));
        after.push(calibration_error(&judged, factor, shift));
        map.factors.push(factor as f32);
        map.shifts.push(shift as f32);
    }
    let model = Transformed { inner: context.model, map, decides: Decides::Outer };
    let evaluation = context.on(&model);
    let mut options = Options { batch_size: context.batch_size, cancel: context.cancel, observer: &mut () };
    let recalibrated = evaluation.clean(&mut options)?;
    let attack = pgd(20, 1).build(context.budget)?;
    let strategy = StrategyName::Softmax.build(Loss::Margin)?;
    let found = evaluation.quietly(&recalibrated, attack.as_ref(), strategy.as_ref(), &mut options)?;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let half = |misclassified: &[bool]| {
        crate::accuracy(&misclassified.iter().copied().skip(1).step_by(2).collect::<Vec<_>>())
    };
    let plain = half(&context.base()?.worst.misclassified);
    let refitted = half(&found.worst.misclassified);
    let numbers = [
        number("calibration error", mean(&before)),
        number("calibration error, refitted", mean(&after)),
        number("clean", half(&context.clean.misclassified)),
        number("clean, refitted", half(&recalibrated.misclassified)),
        number("robust", plain),
        number("robust, refitted", refitted),
    ];
    let lost = plain - refitted;
    let status = if lost <= 0.05 { Status::Pass } else { Status::Warn };
    Ok(Answer::new(status, numbers, format!("refitted scores lose {lost:.3} of robust accuracy")))
}

/// Scale and offset of `sigmoid(a s + b)` by Newton's method on the log-likelihood, with a small ridge
/// towards (1, 0) so that separable scores have an answer.
fn logistic(examples: &[(f64, bool)]) -> (f64, f64) {
    let ridge = 1e-2 * examples.len() as f64;
    let (mut a, mut b) = (1.0, 0.0);
    for _ in 0..50 {
        let (mut ga, mut gb) = (ridge * (a - 1.0), ridge * b);
        let (mut haa, mut hab, mut hbb) = (ridge, 0.0, ridge);
        for &(s, positive) in examples {
            let p = 1.0 / (1.0 + (-(a * s + b)).exp());
            let (error, weight) = (p - f64::from(u8::from(positive)), p * (1.0 - p));
            ga += error * s;
            gb += error;
            haa += weight * s * s;
            hab += weight * s;
            hbb += weight;
        }
        let determinant = haa * hbb - hab * hab;
        let (da, db) = ((hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant);
        // Never across 0: the order of an arm's scores is its own.
        a = (a - da).max(a * 0.1);
        b -= db;
    }
    (a, b)
}

/// Expected calibration error of `sigmoid(a s + b)` over equally wide bins.
fn calibration_error(examples: &[(f64, bool)], a: f64, b: f64) -> f64 {
    let mut bins = [(0.0, 0.0, 0.0); BINS];
    for &(s, positive) in examples {
        let p = 1.0 / (1.0 + (-(a * s + b)).exp());
        let bin = &mut bins[((p * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1.0, bin.1 + p, bin.2 + f64::from(u8::from(positive)));
    }
    bins.iter().map(|(_, p, positives)| (p - positives).abs()).sum::<f64>() / examples.len() as f64
}
