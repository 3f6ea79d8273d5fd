//! T13: are there gradients at all? Saturated or quantised classifiers have none, and look robust.
//!
//! Two places where they can go missing: on the way from the images to a score, and in the loss, whose slope is rounded
//! away where the scores are sure enough.

use candle_core::{Device, Tensor};
use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, ObjectiveValues, host};

use super::context::{EvaluationContext, Kind, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "gradients-vanish",
    means: "The gradients that attacks follow are exactly zero or rounded away on many images: saturated \
            scores, rounded inputs, or a loss that is flat where the model is sure. Attacks are blind there, \
            and what they leave correct is not robust by their word.",
    todo: "Attack with loss margin or dlr, which do not saturate, and with square, which needs no gradient. \
            Divide scores by a constant if they are huge; attack the model without rounding or thresholds, or \
            through an approximation of them.",
};

/// The largest share of zero gradients, over all scores.
const ALLOWED: f64 = 0.01;

/// From this share on a loss is blind.
const BLIND: f64 = 0.05;

/// A loss's gradient shorter than this has vanished: f32's smallest number of full precision times 2^24, below which pixels
/// that count less are lost first, and then all.
const VANISHED: f64 = f32::MIN_POSITIVE as f64 * (1 << 24) as f64;

/// A binary loss at log-odds beyond this has a slope below f32's resolution of 1.
const SATURATED: f32 = 17.0;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let batch = context.right(usize::MAX)?;
    if batch.is_empty() {
        return Ok(Answer::new(Status::Skipped, [], "no example is right when clean"));
    }
    let softmax = StrategyName::Softmax.into();
    let mut numbers = Vec::new();
    let (mut worst, mut misclassified) = (0.0_f64, 0);
    let mut vanished = Largest { share: 0.0, of: String::new() };
    let started = context.perturb(pgd(1, 1), Loss::Margin, softmax, &batch)?.last.images;
    let ended = context.perturb(pgd(20, 1), Loss::Margin, softmax, &batch)?.last.images;
    for (place, images) in [("clean", &batch.images), ("start", &started), ("end", &ended)] {
        let columns = columns(context, images)?;
        let zero = |norm: f64| norm == 0.0;
        let worst_column = columns.iter().map(|norms| share(norms, zero)).fold(0.0, f64::max);
        let mut sorted = columns.concat();
        misclassified += sorted.iter().filter(|norm| !norm.is_finite()).count();
        let zero = share(&sorted, zero);
        worst = worst.max(zero);
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let scores = context.model.scores(images, &Columns::All)?.to_vec()?;
        let saturated =
            scores.iter().filter(|score| score.abs() > SATURATED).count() as f64 / scores.len() as f64;
        for (name, value) in [
            ("zero", zero),
            ("zero, worst score", worst_column),
            ("saturated scores", saturated),
            ("5% norm", at(0.05)),
            ("median norm", at(0.5)),
            ("95% norm", at(0.95)),
        ] {
            numbers.push((format!("{place}: {name}"), value));
        }
        let mut losses = Vec::new();
        for loss in [Loss::Ce, Loss::Margin] {
            let objective = loss.against(batch.labels.clone());
            let pass = context.model.forward(images, &Columns::All)?;
            let ObjectiveValues { score_gradient, .. } = objective.evaluate(pass.scores())?;
            losses.push((loss.to_string(), norms(&pass.input_gradient(&score_gradient)?)?));
        }
        if context.kind == Kind::Arms {
            losses.push(("ce of arms".to_owned(), arms(&columns, &scores, &batch.labels)));
        }
        for (loss, norms) in losses {
            misclassified += norms.iter().filter(|norm| !norm.is_finite()).count();
            let share = share(&norms, |norm| norm < VANISHED);
            numbers.push((format!("{place}: vanished, {loss}"), share));
            if share > vanished.share {
                vanished = Largest { share, of: loss };
            }
        }
    }
    numbers.push(number("not finite", misclassified as f64));
    let status = match vanished.share {
        _ if worst >= ALLOWED || misclassified > 0 => Status::Fail,
        share if share >= BLIND => Status::Fail,
        share if share >= ALLOWED => Status::Warn,
        _ => Status::Pass,
    };
    let mut note =
        format!("at most {:.1}% of the scores' gradients are exactly zero, allowed 1%", 100.0 * worst);
    if vanished.share >= ALLOWED {
        let Largest { share, of } = vanished;
        note += &format!(
            "; those of loss {of} vanish on {:.1}% of the images, allowed 1%: attacks that maximise it are blind there, losses \
             margin and dlr do not saturate",
            100.0 * share
        );
    }
    Ok(Answer::new(status, numbers, note))
}

/// Of the losses, the one that vanishes most.
struct Largest {
    share: f64,
    of: String,
}

fn share(norms: &[f64], what: impl Fn(f64) -> bool) -> f64 {
    norms.iter().filter(|norm| what(**norm)).count() as f64 / norms.len().max(1) as f64
}

/// Length of the input gradient of every image, by score.
fn columns(context: &EvaluationContext<'_>, images: &Tensor) -> Result<Vec<Vec<f64>>> {
    let n = images.dims()[0];
    let column = |column: usize| {
        context.cancel.check()?;
        let pass = context.model.forward(images, &Columns::One(column))?;
        let ones = Tensor::from_vec(vec![1.0_f32; n], (n, 1), &Device::Cpu)?;
        norms(&pass.input_gradient(&ones)?)
    };
    (0..context.model.num_classes()).map(column).collect()
}

/// Lengths of the gradients of every arm's own cross-entropy, from those of its score.
fn arms(columns: &[Vec<f64>], scores: &[f32], labels: &[u32]) -> Vec<f64> {
    let mut norms = Vec::new();
    for (row, &label) in labels.iter().enumerate() {
        for (arm, column) in columns.iter().enumerate() {
            let score = f64::from(scores[row * columns.len() + arm]);
            let wrongness = if arm == label as usize { -score } else { score };
            // As an attack has it, in f32.
            let slope = (1.0 / (1.0 + (-wrongness).exp())) as f32;
            norms.push(f64::from(slope) * column[row]);
        }
    }
    norms
}

/// Length of every image's gradient.
fn norms(gradient: &Tensor) -> Result<Vec<f64>> {
    let (_, length) = host::image_rows("gradient", gradient)?;
    let square = |g: &f32| f64::from(*g) * f64::from(*g);
    let values = host::to_vec(gradient)?;
    Ok(values.chunks_exact(length.max(1)).map(|g| g.iter().map(square).sum::<f64>().sqrt()).collect())
}
