//! T18: what was misclassified is written to a file, read again, and checked by code that knows no attack.

use robin_aggregation::StrategyName;
use robin_attacks::Loss;

use super::context::{EvaluationContext, number, pgd};
use super::{Answer, Status};
use crate::Explained;
use crate::witnesses::verify;
use crate::{Result, Witnesses};

pub(super) const EXPLAINED: Explained = Explained {
    name: "witnesses-do-not-hold",
    means: "Adversarial images that were written to a file and read again are not misclassified, or lie \
            outside the budget. Then the robust accuracy cannot be checked by anybody.",
    todo: "Run verify-witnesses on the saved file; look for randomness in the model. If there is none, report \
            it as a fault.",
};

pub(super) fn run(context: &EvaluationContext<'_>) -> Result<Answer> {
    let batch = context.right(usize::MAX)?;
    let mut witnesses = Witnesses::new(context.budget, context.data.sha256()?, context.data.shape());
    if !batch.is_empty() {
        let found = context.perturb(pgd(20, 1), Loss::Margin, StrategyName::Softmax.into(), &batch)?;
        witnesses.add(&batch, &found.worst, context.budget)?;
    }
    let read = Witnesses::from_safetensors(&witnesses.to_safetensors()?, "witnesses in memory")?;
    let checked = verify(&read, context.model, &context.data, context.batch_size, context.cancel)?;
    let numbers = [
        number("witnesses", checked.n as f64),
        number("valid", checked.valid as f64),
        number("misclassified in 8 bits", checked.rounded.misclassified as f64),
        number("valid in 8 bits", checked.rounded.valid as f64),
        number("largest size", checked.largest_size),
    ];
    let status = if checked.holds() { Status::Pass } else { Status::Fail };
    let note = match checked.faults.first() {
        Some(fault) => fault.clone(),
        None => format!("{} of {} hold", checked.valid, checked.n),
    };
    Ok(Answer::new(status, numbers, note))
}
