//! T16: examples whose two highest scores nearly tie, computed again in f64.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;
use robin_core::{Columns, host};

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::{Explained, Result};

pub(super) const EXPLAINED: Explained = Explained {
    name: "close-calls-flip",
    means: "Images whose two highest scores nearly tie are decided otherwise in f64, by more than rounding \
            explains: verdicts hang on arithmetic. A warning: only within rounding, so these images are \
            undecided.",
    todo: "If it fails, report it as a fault, with the model. A warning costs as many images as it names: \
            read the accuracy with that margin.",
};

/// Scores closer than this are a close call.
const CLOSE: f32 = 1e-3;

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let Some(precise) = context.precise else {
        return Ok(Answer::new(Status::Skipped, [], "this classifier cannot be computed in f64"));
    };
    let batch = context.right(usize::MAX)?;
    if batch.is_empty() {
        return Ok(Answer::new(Status::Skipped, [], "no example is right when clean"));
    }
    let found = context.perturb(pgd(20, 1), Loss::Margin, StrategyName::Softmax.into(), &batch)?;
    let (mut close, mut flips, mut largest) = (0, 0, 0.0_f64);
    for images in [&batch.images, &found.worst.images] {
        let scores = context.model.scores(images, &Columns::All)?;
        let (classes, values) = (scores.columns(), scores.to_vec()?);
        let rows: Vec<usize> = values
            .chunks_exact(classes)
            .enumerate()
            .filter(|(_, row)| {
                let order = robin_core::scores::ranked(row);
                row[order[0] as usize] - row[order[1] as usize] < CLOSE
            })
            .map(|(row, _)| row)
            .collect();
        if rows.is_empty() {
            continue;
        }
        close += rows.len();
        let exact = precise.scores(&host::select(images, &rows)?)?;
        for (&row, exact) in rows.iter().zip(exact.chunks_exact(classes)) {
            let own = &values[row * classes..(row + 1) * classes];
            let best = (0..classes).max_by(|&a, &b| exact[a].total_cmp(&exact[b]).then(b.cmp(&a)));
            flips += usize::from(best != Some(robin_core::scores::ranked(own)[0] as usize));
            let off = own.iter().zip(exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            largest = largest.max(off);
        }
    }
    // Whatever flips within the rounding of f32 is undecided, not wrong.
    let explained = largest < f64::from(CLOSE);
    let status = match (flips, explained) {
        (0, _) => Status::Pass,
        (_, true) => Status::Warn,
        _ => Status::Fail,
    };
    let numbers =
        [number("close", close as f64), number("flips", flips as f64), number("largest difference", largest)];
    Ok(Answer::new(status, numbers, format!("{flips} of {close} close calls flip in f64")))
}
