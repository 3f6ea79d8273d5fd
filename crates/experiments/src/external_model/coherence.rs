//! Agreement of gradients between the networks of an aggregate, with untrained ones as the control.

use robin_coherence::Summary;
use robin_core::{Purpose, Seed};
use robin_nn::Parameters;
use serde::Serialize;

use super::description::{Description, Networks};
use super::joined::{classifiers, joined};
use super::model_under_test::check_classes;
use super::{Event, Images, ImagesRequest, ModelRequest, RunOptions};
use crate::alignment::{Compared, measure};
use crate::{Error, Result};

/// What is measured.
#[derive(Debug, Clone)]
pub struct CoherenceRequest {
    /// The networks; one-vs-all or an ensemble.
    pub model: ModelRequest,
    /// The images.
    pub images: ImagesRequest,
    /// Bins of the histograms, at least 1.
    pub bins: usize,
    /// Of the untrained networks' weights.
    pub seed: u64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoherenceReport {
    /// Whose gradients were compared.
    pub compared: Compared,
    /// Of the networks as they are.
    pub trained: Summary,
    /// Of the same architectures with fresh weights: what the architecture and the images bring by themselves.
    pub untrained: Summary,
    /// Each example's coherence, `[n]`; `None` where a gradient has no direction.
    pub cosines: Vec<Option<f64>>,
    /// The networks.
    pub classifier: Description,
    /// The images.
    pub data: Images,
}

/// Measures coherence on every image (paper, equation 1 and Figure 6).
///
/// # Errors
/// [`Error::Unfit`] for an aggregate that has no coherence, for networks of other classes than the images and for no
/// bins; otherwise as [`super::attack()`].
pub fn coherence(request: &CoherenceRequest, run_options: &RunOptions<'_>) -> Result<CoherenceReport> {
    let CoherenceRequest { model, images, bins, seed } = request;
    Error::check_count("--bins", *bins, robin_coherence::MOST_BINS)?;
    let compared = model.aggregate.and_then(Compared::of).ok_or_else(|| Error::Unfit {
        option: "--aggregate",
        given: model.aggregate.map_or("(nothing)".to_owned(), |aggregate| aggregate.to_string()),
        reason: "coherence is one of one-vs-all's arms, or of an ensemble's networks".to_owned(),
    })?;
    let (data, described) = images.load()?;
    let Networks { plain, description } = Networks::read(model, &data, &described, run_options)?;
    check_classes(joined(&plain, model.aggregate, model.device)?.as_ref(), &data)?;
    let fresh = plain.iter().enumerate().map(|(number, (graph, parameters))| {
        let seed = Seed::new(*seed).derive(Purpose::Network, number as u64);
        let mut fresh = Parameters::initialise(graph, seed);
        // The same images reach them: only what is learned differs.
        for buffer in fresh.buffers.iter_mut().filter(|buffer| buffer.name.starts_with("normalize.")) {
            if let Some(own) = parameters.buffers.iter().find(|own| own.name == buffer.name) {
                buffer.values.clone_from(&own.values);
            }
        }
        (graph.clone(), fresh)
    });
    let fresh: Vec<_> = fresh.collect();
    let run = |what: &str, networks: &[_]| {
        (run_options.on_event)(&Event::Begins(what));
        let networks = classifiers(networks, model.device)?;
        measure(compared, networks, &data, run_options.batch_size, run_options.cancel, |done| {
            let progress = robin_evaluation::Progress { done, of: data.len(), misclassified: 0 };
            (run_options.on_event)(&Event::Progress(progress));
        })
    };
    let trained = run("gradients of the networks", &plain)?;
    let untrained = run("gradients of untrained networks, the control", &fresh)?;
    Ok(CoherenceReport {
        compared,
        cosines: trained.iter().map(|example| example.coherence.value()).collect(),
        trained: Summary::of(&trained, *bins),
        untrained: Summary::of(&untrained, *bins),
        classifier: description,
        data: described,
    })
}
