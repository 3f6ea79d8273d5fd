//! Accuracy under one attack with one strategy.

use candle_core::Tensor;
use robin_core::{
    Adversarial, Attack, Batch, Budget, Columns, Error as CoreError, ExampleId, Iterate, Strategy, Target,
    host,
};
use robin_data::LabelMap;

use crate::options::{Options, Progress, batches};
use crate::{Clean, CostTotals, Error, Evaluation, Outcome, Result, Robust};

/// Above this share of zero gradients the number is announced as doubtful.
const DOUBTFUL_ZERO_GRADIENTS: f64 = 0.01;

impl Evaluation<'_> {
    /// Attacks every example that is right when clean; one that is not counts as misclassified under every attack and is
    /// left alone. `clean` is [`Evaluation::clean`]'s answer.
    ///
    /// Every perturbed image is checked against the attack's budget. An example's result depends on the seed and
    /// its place in the data set, not on the batch size.
    ///
    /// # Errors
    /// [`Error::Illegal`] if the attack left its budget, [`Error::Examples`] if `clean` is of other data,
    /// [`Error::Empty`], [`Error::BatchSize`]; otherwise as the classifier's, the strategy's and the attack's;
    /// see [`Error::is_cancelled`].
    pub fn robust(
        &self,
        clean: &Clean,
        attack: &dyn Attack,
        strategy: &dyn Strategy,
        options: &mut Options<'_>,
    ) -> Result<Robust> {
        let robust = self.quietly(clean, attack, strategy, options)?;
        let zero_gradients = robust.cost.zero_gradient_share();
        if zero_gradients > DOUBTFUL_ZERO_GRADIENTS {
            tracing::warn!(zero_gradients, "many input gradients are exactly zero: the attack may be blind");
        }
        Ok(robust)
    }

    /// [`Evaluation::robust`] for those who look at the zero gradients themselves.
    pub(crate) fn quietly(
        &self,
        clean: &Clean,
        attack: &dyn Attack,
        strategy: &dyn Strategy,
        options: &mut Options<'_>,
    ) -> Result<Robust> {
        let attacked = clean.attackable(self.data.len())?;
        let untouched = clean.untouched();
        let mut robust = Robust { worst: untouched.clone(), last: untouched, cost: CostTotals::default() };
        let mut misclassified = self.data.len() - attacked.len();
        self.attack_each(attack, strategy, &attacked, options, |batch, found, cost| {
            record(&mut robust.worst, attack.budget(), batch, &found.worst)?;
            record(&mut robust.last, attack.budget(), batch, &found.last)?;
            for cost in cost {
                robust.cost.add(cost);
            }
            misclassified += found.worst.verdicts.iter().filter(|verdict| verdict.misclassified).count();
            Ok(misclassified)
        })?;
        Ok(robust)
    }

    /// Attacks the examples at `examples` batch by batch, and hands over what was found; each image has been
    /// checked against the budget. `found` answers how many examples of all are misclassified by now, for the observer.
    /// An example's result depends on the seed and its place in the data set alone.
    pub(crate) fn attack_each(
        &self,
        attack: &dyn Attack,
        strategy: &dyn Strategy,
        examples: &[u32],
        options: &mut Options<'_>,
        mut found: impl FnMut(&Batch, &Adversarial, &[CostTotals]) -> Result<usize>,
    ) -> Result<()> {
        let &Self { model, criterion, data, seed } = self;
        let target = Target { model, criterion, cancel: options.cancel };
        let mut done = data.len() - examples.len();
        for examples in batches(options.batch_size, examples)? {
            options.cancel.check()?;
            let ids: Vec<ExampleId> = examples.iter().map(|&index| ExampleId::first(index)).collect();
            let batch = data.batch(&ids, &LabelMap::Identity)?;
            let scores = model.scores(&batch.images, &Columns::All)?;
            let objectives = strategy.prepare(&scores, &batch)?;
            let adversarial = attack.perturb(&target, &objectives, &batch, seed)?;
            check(attack.budget(), &batch, &adversarial)?;
            let clean_forward = model.networks(&Columns::All);
            // Objectives of one strategy cost the same; should they not, this overstates the zero share.
            let per_gradient =
                objectives.iter().map(|objective| model.networks(&objective.columns())).max().unwrap_or(1);
            let cost: Vec<CostTotals> = adversarial
                .cost
                .iter()
                .map(|cost| CostTotals::of(cost, clean_forward, per_gradient))
                .collect();
            let misclassified = found(&batch, &adversarial, &cost)?;
            done += batch.len();
            options.observer.progress(&Progress { done, of: data.len(), misclassified });
        }
        Ok(())
    }
}

/// Refuses an answer of the wrong length and any illegal image, in release builds too.
fn check(budget: Budget, batch: &Batch, found: &Adversarial) -> Result<()> {
    let given = batch.len();
    for (what, returned) in [
        ("verdicts on the best images", found.worst.verdicts.len()),
        ("verdicts on the final images", found.last.verdicts.len()),
        ("costs", found.cost.len()),
    ] {
        if returned != given {
            return Err(Error::Returned { what, given, returned });
        }
    }
    for iterate in [&found.worst, &found.last] {
        budget.verify(&batch.images, &iterate.images).map_err(|source| illegal(batch, source))?;
    }
    Ok(())
}

fn illegal(batch: &Batch, source: CoreError) -> Error {
    let example = match source {
        CoreError::NotFinite { example, .. }
        | CoreError::OutsideBox { example, .. }
        | CoreError::OverBudget { example, .. } => example,
        other => return Error::Core(other),
    };
    Error::Illegal { index: batch.ids[example].index, source }
}

/// Writes a batch's results where they belong.
fn record(outcome: &mut Outcome, budget: Budget, batch: &Batch, iterate: &Iterate) -> Result<()> {
    let sizes = sizes(budget, &batch.images, &iterate.images)?;
    for ((id, verdict), size) in batch.ids.iter().zip(&iterate.verdicts).zip(sizes) {
        let example = id.index as usize;
        outcome.misclassified[example] = verdict.misclassified;
        outcome.predictions[example] = verdict.prediction;
        outcome.sizes[example] = size;
    }
    Ok(())
}

/// Sizes of the perturbations, `[n]`.
pub(crate) fn sizes(budget: Budget, clean: &Tensor, perturbed: &Tensor) -> Result<Vec<f32>> {
    let mut sizes = Vec::new();
    host::map_images(clean, perturbed, |_, clean, perturbed| {
        sizes.push(budget.norm.distance(clean, perturbed) as f32);
    })?;
    Ok(sizes)
}
