//! Distances of test images to the border that counts in section 3.

use robin_attacks::{Loss, MinimalAttack};
use robin_core::{Norm, OneClass, Seed};
use robin_data::Dataset;
use robin_evaluation::{Distances, Evaluation, OneClassStrategy};
use serde_json::json;

use super::amount::{Amount, FORWARD, steps};
use super::measure::{Watcher, first, to_json};
use super::one_class::CLASS;
use super::{Computed, Context, TrainedNetwork, Work};
use crate::record::Record;
use crate::{Error, Result};

/// How far is each image from another answer?
#[derive(Debug)]
pub struct DistancesWork {
    /// Test images with the network's labels.
    pub data: Dataset,
    /// Each looks for the smallest perturbation.
    pub attacks: Vec<robin_attacks::Config>,
    /// What they raise.
    pub loss: Loss,
    /// How distance is measured.
    pub norm: Norm,
    /// Of what attacks draw.
    pub seed: Seed,
}

impl Work for DistancesWork {
    /// The smallest perturbation of every image.
    fn run(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let _span = tracing::info_span!("study", cell = context.watched.label).entered();
        let model = first(networks, context)?;
        let criterion = OneClass { class: CLASS };
        let attacks: Vec<Box<dyn MinimalAttack>> = self
            .attacks
            .iter()
            .map(|attack| attack.minimal(self.norm).map_err(Error::work("preparing the attack")))
            .collect::<Result<_>>()?;
        let mut watcher = Watcher(context);
        let mut options = context.options(&mut watcher);
        let evaluation =
            Evaluation { model: model.as_ref(), criterion: &criterion, data: &self.data, seed: self.seed };
        let clean = evaluation.clean(&mut options).map_err(Error::work("measuring clean accuracy"))?;
        let strategy = OneClassStrategy { class: CLASS, loss: self.loss };
        let found = evaluation
            .distances(&clean, &attacks, &strategy, &mut options)
            .map_err(Error::work("looking for the smallest perturbations"))?;
        let results = json!({
            "n": found.distances.len(),
            "clean_errors": found.clean_errors,
            "censored": found.censored,
            "mean": found.mean(),
            "mean_of_right": found.mean_of_right(),
            "clean_examples": to_json("clean results", &clean)?,
            "distances": to_json("distances", &found)?,
        });
        Ok(results.into())
    }

    fn amount(&self, _networks: f64) -> Amount {
        Amount::attack(self.data.len() as f64 * (FORWARD + self.attacks.iter().map(steps).sum::<f64>()))
    }
}

/// The distances of a record.
///
/// # Errors
/// [`Error::Results`] if it has none.
pub fn read(record: &Record) -> Result<Distances> {
    record.result("distances")
}
