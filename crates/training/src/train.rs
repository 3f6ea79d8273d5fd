//! The training loop from beginning to end, without checkpoints.

use robin_core::{CancelToken, Seed};
use robin_data::{Dataset, LabelMap};
use robin_nn::Network;

use crate::{Config, Observer, Result, Summary, Task, Trainer};

/// Trains `network` on `data` as `labels` map it. The result depends on the network's initial parameters, the
/// data, `config` and `seed`, and on nothing else: not on threads, observers or interruptions. The network is left
/// with the parameters that `config` asks for ([`crate::Trained::chosen`]).
///
/// # Errors
/// [`crate::Error::Setting`] or [`crate::Error::Classes`] before any work; [`crate::Error::Diverged`] when a loss is no
/// number; an error with [`crate::Error::is_cancelled`] when stopped, after which the network is in the middle of
/// nowhere.
pub fn train(
    network: &mut dyn Network,
    data: &Dataset,
    labels: &LabelMap,
    config: &Config,
    seed: Seed,
    observer: &mut dyn Observer,
    cancel: &CancelToken,
) -> Result<Summary> {
    let mut trainer = Trainer::new(network, Task { data, labels, config, seed })?;
    let summary = trainer.run(observer, cancel)?;
    let trained = trainer.trained();
    network.restore(trained.chosen().clone())?;
    Ok(summary)
}
