//! One training step: perturb a part of the batch, then the gradients of the mean cross-entropy.

use candle_core::Tensor;
use robin_attacks::objectives::CrossEntropy;
use robin_attacks::{Pgd, Start};
use robin_core::{Batch, CancelToken, Objective, Purpose, Scores, Seed, host};
use robin_nn::{Gradients, Network};

use crate::{Config, Method, Result};

/// What a step found, before the weights move.
pub(crate) struct StepResult {
    pub(crate) gradients: Gradients,
    /// Mean cross-entropy of the batch.
    pub(crate) loss: f64,
    /// Examples of the batch that were classified correctly.
    pub(crate) correct: usize,
}

/// The number of examples that `config` perturbs in each batch of epoch `epoch` (from 0).
pub(crate) fn perturbed_count(config: &Config, epoch: usize) -> usize {
    match &config.method {
        Method::Standard {} => 0,
        Method::PgdAt { proportion, .. } => proportion.count(epoch, config.epochs, config.batch_size),
    }
}

/// Replaces `count` random examples of the batch by their perturbed versions. `seed` is the epoch's.
pub(crate) fn perturb(
    network: &dyn Network,
    config: &Config,
    mut batch: Batch,
    count: usize,
    (step, seed): (usize, Seed),
    cancel: &CancelToken,
) -> Result<Batch> {
    let Method::PgdAt { budget, steps, step_size, .. } = &config.method else { return Ok(batch) };
    if count == 0 {
        return Ok(batch);
    }
    let mut rows: Vec<usize> = seed
        .derive(Purpose::AttackedSubset, step as u64)
        .root_stream()
        .permutation(batch.len())
        .into_iter()
        .take(count)
        .map(|row| row as usize)
        .collect();
    rows.sort_unstable();
    let part = batch.select(&rows)?;
    let step_size = step_size.pixels(budget.epsilon, *steps)?;
    let pgd = Pgd { budget: *budget, steps: *steps, step_size, restarts: 1, start: Start::UniformInBall };
    let objective = CrossEntropy::new(part.labels.clone());
    let model = network.freeze()?;
    let seed = seed.derive(Purpose::TrainingAttack, step as u64);
    let perturbed = pgd.ascend(&*model, &objective, &part, seed, cancel)?;
    batch.images = host::replace(&batch.images, &rows, &perturbed)?;
    Ok(batch)
}

/// Forward and backward on the batch.
pub(crate) fn gradients(network: &mut dyn Network, batch: &Batch) -> Result<StepResult> {
    let objective = CrossEntropy::new(batch.labels.clone());
    let (mut loss, mut correct) = (0.0, 0);
    let gradients = network.train_step(&[&batch.images], &mut |scores: &[Scores]| {
        let evaluation = objective.evaluate(&scores[0])?;
        let n = batch.len() as f64;
        loss = evaluation.values.iter().map(|&value| f64::from(value)).sum::<f64>() / n;
        let predictions = scores[0].arg_max()?;
        correct = predictions.iter().zip(&batch.labels).filter(|(p, label)| p == label).count();
        // The objective is per example; here, visibly, it becomes the mean.
        let mean: Tensor = (evaluation.score_gradient / n)?;
        Ok(vec![mean])
    })?;
    Ok(StepResult { gradients, loss, correct })
}
