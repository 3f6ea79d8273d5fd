//! Distances of test images to the border that counts in section 3.

use robin_attacks::MinimalAttack;
use robin_core::OneClass;
use robin_evaluation::{Distances, Evaluation, OneClassStrategy};
use robin_nn::Graph;
use serde_json::{Value, json};

use crate::plan::study::{CLASS, DistancesWork};
use crate::record::Record;
use crate::run::{Context, Watcher, classifier, to_json};
use crate::{Error, Result};

impl DistancesWork {
    /// The smallest perturbation of every image.
    pub(crate) fn run(&self, (graph, weights): (&Graph, &[u8]), context: &Context<'_>) -> Result<Value> {
        let model = classifier(graph, weights, context)?;
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
        Ok(json!({
            "n": found.distances.len(),
            "clean_errors": found.clean_errors,
            "censored": found.censored,
            "mean": found.mean(),
            "mean_of_right": found.mean_of_right(),
            "clean_examples": to_json("clean results", &clean)?,
            "distances": to_json("distances", &found)?,
        }))
    }
}

/// The distances of a record.
///
/// # Errors
/// [`Error::Results`] if it has none.
pub fn read(record: &Record) -> Result<Distances> {
    record.result("distances")
}
