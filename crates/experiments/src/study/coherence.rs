//! Coherence of trained networks, with the same networks before training as the control.

use robin_coherence::Summary;
use robin_core::Classifier;
use serde_json::{Value, json};

use crate::alignment::measure;
use crate::plan::NetworkWork;
use crate::plan::study::CoherenceWork;
use crate::record::Record;
use crate::run::{Context, classifier, to_json};
use crate::{Error, Progress, Result};

impl CoherenceWork {
    /// Every example's coherence with the trained networks, and summaries with these and the untrained ones.
    pub(crate) fn run(&self, networks: &[(&NetworkWork, Vec<u8>)], context: &Context<'_>) -> Result<Value> {
        let trained: Vec<Box<dyn Classifier>> = networks
            .iter()
            .map(|(work, weights)| classifier(&work.graph, weights, context))
            .collect::<Result<_>>()?;
        let untrained: Vec<Box<dyn Classifier>> = networks
            .iter()
            .map(|(work, _)| {
                let fresh = context.executor.classifier(&work.graph, &work.parameters());
                fresh.map_err(Error::work("preparing the untrained network"))
            })
            .collect::<Result<_>>()?;
        let (total, mut before) = (2 * self.data.len(), 0);
        let mut of = |networks| {
            let examples =
                measure(self.compared, networks, &self.data, context.batch_size, context.cancel, |done| {
                    let progress = Progress::Examples { done: before + done, total, broken: 0 };
                    context.observer.progress(context.watched, &progress);
                })?;
            before = examples.len();
            Ok::<_, Error>(examples)
        };
        let (trained, untrained) = (of(trained)?, of(untrained)?);
        let cosines: Vec<Option<f64>> = trained.iter().map(|example| example.coherence.value()).collect();
        Ok(json!({
            "trained": to_json("coherence", &Summary::of(&trained, self.bins))?,
            "untrained": to_json("coherence", &Summary::of(&untrained, self.bins))?,
            "cosines": cosines,
        }))
    }
}

/// Summaries of a record: of the trained networks, and of the same before training.
///
/// # Errors
/// [`Error::Results`] if it has none.
pub fn read(record: &Record) -> Result<[Summary; 2]> {
    Ok([record.result("trained")?, record.result("untrained")?])
}
