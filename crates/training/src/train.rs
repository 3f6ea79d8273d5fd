//! The training loop.

use robin_core::{CancelToken, Purpose, Seed};
use robin_data::{Augmentation, Dataset, LabelMap, epoch};
use robin_nn::Network;
use serde::{Deserialize, Serialize};

use crate::step::{gradients, perturb, perturbed_count};
use crate::{Config, EpochReport, Error, Observer, Result, Sgd, StepReport};

/// What a finished training reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// One report for each epoch.
    pub epochs: Vec<EpochReport>,
}

/// Trains `network` on `data` as `labels` map it. The result depends on the network's initial parameters, the
/// data, `config` and `seed`, and on nothing else: not on threads, observers or interruptions.
///
/// # Errors
/// [`Error::Setting`] or [`Error::Classes`] before any work; [`Error::Diverged`] when a loss is no number;
/// an error with [`Error::is_cancelled`] when stopped, after which the network is in the middle of nowhere.
pub fn train(
    network: &mut dyn Network,
    data: &Dataset,
    labels: &LabelMap,
    config: &Config,
    seed: Seed,
    observer: &mut dyn Observer,
    cancel: &CancelToken,
) -> Result<Summary> {
    config.validate()?;
    labels.validate(data.num_classes())?;
    let classes = labels.num_classes(data.num_classes());
    let outputs = network.freeze()?.num_classes();
    if outputs != classes {
        return Err(Error::Classes { outputs, classes });
    }
    let mapped = labels.apply_all(data.labels())?;
    let mut sgd = Sgd::new(config.momentum, config.weight_decay);
    let mut summary = Summary { epochs: Vec::with_capacity(config.epochs) };
    for number in 0..config.epochs {
        let _span = tracing::info_span!("epoch", number = number + 1).entered();
        let epoch_seed = seed.derive(Purpose::Epoch, number as u64);
        let learning_rate = config.learning_rate_at(number);
        let perturbed = perturbed_count(config, number);
        let batches = epoch(&mapped, config.sampling, config.batch_size, number, seed)?;
        let (mut loss, mut correct) = (0.0, 0);
        for (step, ids) in batches.iter().enumerate() {
            cancel.check()?;
            let mut batch = data.batch(ids, labels)?;
            let augmentation = Augmentation { crop_padding: config.crop_padding, ..Augmentation::NONE };
            batch = augmentation.apply(&batch, epoch_seed.derive(Purpose::Crop, 0))?;
            let diverged = |error| match error {
                Error::Core(source @ robin_core::Error::NotFinite { .. })
                | Error::Network(robin_nn::Error::Core(source @ robin_core::Error::NotFinite { .. })) => {
                    Error::Diverged { epoch: number + 1, step: step + 1, source }
                }
                other => other,
            };
            let batch =
                perturb(network, config, batch, perturbed, (step, epoch_seed), cancel).map_err(diverged)?;
            let result = gradients(network, &batch).map_err(diverged)?;
            network.update(&mut |tensors| sgd.step(tensors, &result.gradients, learning_rate));
            loss += result.loss;
            correct += result.correct;
            observer.step(&StepReport {
                epoch: number + 1,
                epochs: config.epochs,
                step: step + 1,
                steps: batches.len(),
                loss: result.loss,
            });
        }
        let report = EpochReport {
            epoch: number + 1,
            epochs: config.epochs,
            learning_rate,
            perturbed,
            loss: loss / batches.len() as f64,
            accuracy: correct as f64 / (batches.len() * config.batch_size) as f64,
        };
        tracing::debug!(loss = report.loss, accuracy = report.accuracy, "epoch done");
        observer.epoch(&report);
        summary.epochs.push(report);
    }
    Ok(summary)
}
