//! One training step: perturb examples, then the gradients of the mean loss.

use candle_core::Tensor;
use robin_attacks::objectives::{CrossEntropy, OneVsAllCrossEntropy};
use robin_attacks::{Pgd, Start, StepSize};
use robin_core::{Batch, Budget, CancelToken, Classifier, Columns, Objective, Purpose, Scores, Seed, host};
use robin_nn::{Gradients, Network, Parameters};

use crate::losses::{Divergence, Losses, cross_entropy, mart, trades};
use crate::{AttackMode, AttackStart, Config, Method, Outputs, Result, Tally};

/// The examples of a step as they are trained on.
pub(crate) enum Examples {
    /// One batch, in which these rows are perturbed.
    Mixed { batch: Batch, perturbed: Vec<usize> },
    /// A batch, and all of its images perturbed.
    Pair { clean: Batch, perturbed: Tensor },
}

/// What a step found, before the weights move.
pub(crate) struct StepResult {
    pub(crate) gradients: Gradients,
    /// Mean loss of the batch.
    pub(crate) loss: f64,
    /// Predictions of all examples as they were trained on.
    pub(crate) tally: Tally,
}

impl StepResult {
    /// The first number that is none, in words.
    pub(crate) fn fault(&self, parameters: &Parameters) -> Option<String> {
        if !self.loss.is_finite() {
            return Some(format!("the mean loss is {}", self.loss));
        }
        parameters.trained.iter().zip(&self.gradients.0).find_map(|(tensor, gradient)| {
            let at = gradient.iter().position(|value| !value.is_finite())?;
            Some(format!("the gradient on {}[{at}] is {}", tensor.name, gradient[at]))
        })
    }
}

/// The number of examples that `config` perturbs in each batch of epoch `epoch` (from 0).
pub(crate) fn perturbed_count(config: &Config, epoch: usize) -> usize {
    match &config.method {
        Method::Standard {} => 0,
        Method::PgdAt { proportion, .. } => proportion.count(epoch, config.epochs, config.batch_size),
        Method::Trades { .. } | Method::Mart { .. } => config.batch_size,
    }
}

/// Perturbs what the method wants perturbed: `count` random examples, or all. `seed` is the epoch's.
pub(crate) fn examples(
    network: &dyn Network,
    config: &Config,
    mut batch: Batch,
    count: usize,
    (step, seed): (usize, Seed),
    cancel: &CancelToken,
) -> Result<Examples> {
    let begin = Begin::Drawn(seed.derive(Purpose::TrainingAttack, step as u64));
    match &config.method {
        Method::Standard {} => Ok(Examples::Mixed { batch, perturbed: Vec::new() }),
        Method::PgdAt { .. } if count == 0 => Ok(Examples::Mixed { batch, perturbed: Vec::new() }),
        Method::PgdAt { .. } => {
            let rows = perturbed_rows(batch.len(), count, (step, seed));
            let part = batch.select(&rows)?;
            let perturbed = attack(&*attacked(network, config)?, config, &part, begin, cancel)?;
            batch.images = host::replace(&batch.images, &rows, &perturbed)?;
            Ok(Examples::Mixed { batch, perturbed: rows })
        }
        Method::Trades { start, .. } | Method::Mart { start, .. } => {
            let noisy = match (*start, begin) {
                (AttackStart::Gaussian { deviation }, Begin::Drawn(seed)) => {
                    Some(noisy(&batch, deviation, seed)?)
                }
                _ => None,
            };
            let begin = noisy.as_ref().map_or(begin, Begin::At);
            let perturbed = attack(&*attacked(network, config)?, config, &batch, begin, cancel)?;
            Ok(Examples::Pair { clean: batch, perturbed })
        }
    }
}

/// The rows that are perturbed: `count` of `batch`, drawn for step number `step` of the epoch that `seed` belongs to.
pub(crate) fn perturbed_rows(batch: usize, count: usize, (step, seed): (usize, Seed)) -> Vec<usize> {
    let order = seed.derive(Purpose::AttackedSubset, step as u64).root_stream().permutation(batch);
    let mut rows: Vec<usize> = order.into_iter().take(count).map(|row| row as usize).collect();
    rows.sort_unstable();
    rows
}

/// The network as the training attack sees it.
fn attacked(network: &dyn Network, config: &Config) -> Result<Box<dyn Classifier>> {
    Ok(match config.attack_mode {
        AttackMode::Eval => network.freeze_for_training_attack()?,
        AttackMode::Train => network.freeze_with_batch_statistics()?,
    })
}

/// Where a training attack begins.
#[derive(Clone, Copy)]
pub(crate) enum Begin<'a> {
    /// At the attack's own start, with random numbers of this seed.
    Drawn(Seed),
    /// At these images.
    At(&'a Tensor),
}

/// The training attack's final images for `batch`. The method has one.
pub(crate) fn attack(
    model: &dyn Classifier,
    Config { method, outputs, .. }: &Config,
    batch: &Batch,
    begin: Begin<'_>,
    cancel: &CancelToken,
) -> Result<Tensor> {
    let (budget, steps, step_size, start) = match method {
        Method::Standard {} => return Ok(batch.images.clone()),
        Method::PgdAt { budget, steps, step_size, .. } => (budget, steps, step_size, None),
        Method::Trades { budget, steps, step_size, start, .. }
        | Method::Mart { budget, steps, step_size, start, .. } => (budget, steps, step_size, Some(*start)),
    };
    let objective: Box<dyn Objective> = match (method, outputs) {
        (Method::Trades { .. }, _) => {
            Box::new(Divergence::from(&model.scores(&batch.images, &Columns::All)?)?)
        }
        (_, Outputs::Classes) => Box::new(CrossEntropy::new(batch.labels.clone())),
        (_, Outputs::OneVsAll) => Box::new(OneVsAllCrossEntropy::new(batch.labels.clone())),
    };
    let pgd = pgd(*budget, *steps, *step_size, start)?;
    Ok(match begin {
        Begin::At(start) => pgd.ascend_from(model, &*objective, &batch.images, start, cancel)?,
        Begin::Drawn(seed) => pgd.ascend(model, &*objective, batch, seed, cancel)?,
    })
}

fn pgd(budget: Budget, steps: usize, step_size: StepSize, start: Option<AttackStart>) -> Result<Pgd> {
    let start = match start {
        Some(AttackStart::Clean {}) => Start::Clean,
        None | Some(AttackStart::UniformInBall {} | AttackStart::Gaussian { .. }) => Start::UniformInBall,
    };
    let step_size = step_size.pixels(budget.epsilon, steps)?;
    Ok(Pgd { budget, steps, step_size, restarts: 1, start })
}

/// Every pixel moved by `deviation` times a standard normal number of its image's own stream.
fn noisy(batch: &Batch, deviation: f64, seed: Seed) -> Result<Tensor> {
    let seed = seed.derive(Purpose::AttackStart, 0);
    Ok(host::map_images(&batch.images, &batch.images, |row, _, image| {
        let mut stream = seed.stream(batch.ids[row]);
        for pixel in image {
            *pixel = (f64::from(*pixel) + deviation * stream.gaussian()) as f32;
        }
    })?)
}

/// Forward and backward on the examples.
pub(crate) fn gradients(
    network: &mut dyn Network,
    config: &Config,
    examples: &Examples,
) -> Result<StepResult> {
    let (batches, labels) = match examples {
        Examples::Mixed { batch, .. } => (vec![&batch.images], &batch.labels),
        Examples::Pair { clean, perturbed } => (vec![&clean.images, perturbed], &clean.labels),
    };
    let smoothing = config.label_smoothing;
    let mut tally = Tally::new(network.graph().num_outputs());
    let mut loss = 0.0;
    let gradients = network.train_step(&batches, &mut |scores: &[Scores]| {
        let losses = match (&config.method, scores) {
            (Method::Trades { lambda, .. }, [clean, perturbed]) => {
                trades(clean, perturbed, labels, *lambda, smoothing)?
            }
            (Method::Mart { lambda, .. }, [clean, perturbed]) => mart(clean, perturbed, labels, *lambda)?,
            _ => match config.outputs {
                Outputs::Classes => cross_entropy(&scores[0], labels, smoothing)?,
                Outputs::OneVsAll => {
                    Losses::of(&OneVsAllCrossEntropy::new(labels.clone()).evaluate(&scores[0])?)
                }
            },
        };
        let n = labels.len() as f64;
        loss = losses.values.iter().sum::<f64>() / n;
        count(examples, labels, scores, &mut tally)?;
        // The loss is per example; here, visibly, it becomes the mean.
        losses.gradients.into_iter().map(|gradient| Ok((gradient / n)?)).collect()
    })?;
    Ok(StepResult { gradients, loss, tally })
}

fn count(
    examples: &Examples,
    labels: &[u32],
    scores: &[Scores],
    tally: &mut Tally,
) -> robin_core::Result<()> {
    for (number, scores) in scores.iter().enumerate() {
        let predictions = scores.arg_max()?;
        tally.add(labels, &predictions);
        let perturbed: Vec<usize> = match examples {
            Examples::Mixed { perturbed, .. } => perturbed.clone(),
            Examples::Pair { .. } if number == 1 => (0..labels.len()).collect(),
            Examples::Pair { .. } => Vec::new(),
        };
        perturbed.iter().for_each(|&row| tally.add_perturbed(labels[row], predictions[row]));
    }
    Ok(())
}

#[cfg(test)]
mod parity;
