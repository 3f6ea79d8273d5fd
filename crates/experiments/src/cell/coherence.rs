//! Coherence of trained networks, with the same networks before training as the control.

use robin_coherence::Summary;
use robin_core::Classifier;
use robin_data::Dataset;
use serde_json::json;

use super::amount::Amount;
use super::measure::{classifier, to_json};
use super::{Computed, Context, TrainedNetwork, Work};
use crate::alignment::{Compared, measure};
use crate::record::Record;
use crate::{Error, Progress, Result};

/// Do the networks' gradients agree?
#[derive(Debug)]
pub struct CoherenceWork {
    /// Whose.
    pub compared: Compared,
    /// Test images.
    pub data: Dataset,
    /// Bins of the histogram.
    pub bins: usize,
}

impl Work for CoherenceWork {
    /// Every example's coherence with the trained networks, and summaries with these and the untrained ones.
    fn run(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let _span = tracing::info_span!("study", cell = context.watched.label).entered();
        let label = context.watched.label;
        let trained: Vec<Box<dyn Classifier>> = networks
            .iter()
            .map(|TrainedNetwork { work, weights }| classifier(&work.graph, weights, context.executor, label))
            .collect::<Result<_>>()?;
        let untrained: Vec<Box<dyn Classifier>> = networks
            .iter()
            .map(|TrainedNetwork { work, .. }| {
                let fresh = context.executor.classifier(&work.graph, &work.parameters());
                fresh.map_err(Error::work("preparing the untrained network"))
            })
            .collect::<Result<_>>()?;
        let (total, mut before) = (2 * self.data.len(), 0);
        let mut of = |networks| {
            let examples =
                measure(self.compared, networks, &self.data, context.batch_size, context.cancel, |done| {
                    let progress = Progress::Examples { done: before + done, total, misclassified: 0 };
                    context.observer.progress(context.watched, &progress);
                })?;
            before = examples.len();
            Ok::<_, Error>(examples)
        };
        let (trained, untrained) = (of(trained)?, of(untrained)?);
        let cosines: Vec<Option<f64>> = trained.iter().map(|example| example.coherence.value()).collect();
        let results = json!({
            "trained": to_json("coherence", &Summary::of(&trained, self.bins))?,
            "untrained": to_json("coherence", &Summary::of(&untrained, self.bins))?,
            "cosines": cosines,
        });
        Ok(results.into())
    }

    fn amount(&self, networks: f64) -> Amount {
        // The trained networks and the same before training.
        Amount::attack(2.0 * self.data.len() as f64 * networks)
    }
}

/// Summaries of a record: of the trained networks, and of the same before training.
///
/// # Errors
/// [`Error::Results`] if it has none.
pub fn read(record: &Record) -> Result<[Summary; 2]> {
    Ok([record.result("trained")?, record.result("untrained")?])
}
