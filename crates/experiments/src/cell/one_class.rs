//! Section 3's task on one network.

use robin_core::{Budget, OneClass, Seed};
use robin_data::Dataset;
use robin_evaluation::{Clean, Evaluation, OneClassAccuracy, OneClassStrategy, Robust};

use super::amount::{Amount, FORWARD, steps};
use super::measure::{Watcher, evaluated, first, to_json};
use super::{Computed, Context, TrainedNetwork, Work};
use crate::record::Record;
use crate::spec::AttackSpec;
use crate::{Error, Result};

/// The class that is asked for: the first one of the class order, as [`robin_data::LabelMap::Other`] numbers it.
pub const CLASS: u32 = 0;

/// A `MODEL[j]` asked whether images are of class [`CLASS`].
#[derive(Debug)]
pub struct OneClassWork {
    /// Test images with the network's labels.
    pub data: Dataset,
    /// The attack; `None` = clean.
    pub attack: Option<(AttackSpec, Budget)>,
    /// Of random starts.
    pub seed: Seed,
}

impl Work for OneClassWork {
    /// Accuracies over all images and over both groups alike, and every example's result.
    fn run(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let _span = tracing::info_span!("study", cell = context.watched.label).entered();
        let model = first(networks, context)?;
        let criterion = OneClass { class: CLASS };
        let mut watcher = Watcher(context);
        let mut options = context.options(&mut watcher);
        let evaluation =
            Evaluation { model: model.as_ref(), criterion: &criterion, data: &self.data, seed: self.seed };
        let clean = evaluation.clean(&mut options).map_err(Error::work("measuring clean accuracy"))?;
        let robust = match &self.attack {
            None => None,
            Some((spec, budget)) => {
                let attack = spec.attack.build(*budget).map_err(Error::work("preparing the attack"))?;
                let strategy = OneClassStrategy { class: CLASS, loss: spec.loss };
                let robust = evaluation.robust(&clean, attack.as_ref(), &strategy, &mut options);
                Some(robust.map_err(Error::work("attacking"))?)
            }
        };
        let mut results = evaluated(&clean, robust.as_ref())?;
        let misclassified =
            robust.as_ref().map_or(&clean.misclassified, |robust| &robust.worst.misclassified);
        results["one_class"] = to_json("accuracies", &accuracy(misclassified, &self.data)?)?;
        Ok(results.into())
    }

    fn amount(&self, _networks: f64) -> Amount {
        let attack = self.attack.as_ref().map_or(0.0, |(attack, _)| steps(&attack.attack) + 3.0 * FORWARD);
        Amount::attack(self.data.len() as f64 * (FORWARD + attack))
    }
}

fn accuracy(misclassified: &[bool], data: &Dataset) -> Result<OneClassAccuracy> {
    OneClassAccuracy::of(misclassified, data.labels(), CLASS).map_err(Error::work("counting both groups"))
}

/// What a record says of section 3's task.
///
/// # Errors
/// [`Error::Results`] if it is none of these.
pub fn read(record: &Record) -> Result<OneClassAccuracy> {
    record.result("one_class")
}

/// Every example's result, for those who look closer.
///
/// # Errors
/// [`Error::Results`] if the record is none of these.
pub fn examples(record: &Record) -> Result<(Clean, Option<Robust>)> {
    Ok((record.result("clean_examples")?, record.result("robust_examples")?))
}
