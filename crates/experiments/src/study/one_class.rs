//! Section 3's task on one network.

use robin_core::OneClass;
use robin_data::Dataset;
use robin_evaluation::{Clean, Evaluation, OneClassAccuracy, OneClassStrategy, Robust};
use robin_nn::Graph;
use serde_json::Value;

pub use crate::plan::study::CLASS;
use crate::plan::study::OneClassWork;
use crate::record::Record;
use crate::run::{Context, Watcher, classifier, evaluated, to_json};
use crate::{Error, Result};

impl OneClassWork {
    /// Accuracies over all images and over both groups alike, and every example's result.
    pub(crate) fn run(&self, (graph, weights): (&Graph, &[u8]), context: &Context<'_>) -> Result<Value> {
        let model = classifier(graph, weights, context)?;
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
        let broken = robust.as_ref().map_or(&clean.broken, |robust| &robust.worst.broken);
        results["one_class"] = to_json("accuracies", &accuracy(broken, &self.data)?)?;
        Ok(results)
    }
}

fn accuracy(broken: &[bool], data: &Dataset) -> Result<OneClassAccuracy> {
    OneClassAccuracy::of(broken, data.labels(), CLASS).map_err(Error::work("counting both groups"))
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
