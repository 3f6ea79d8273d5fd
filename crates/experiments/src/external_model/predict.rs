//! What a classifier says to images.

use robin_core::{Misclassified, Seed};
use robin_evaluation::{Evaluation, Interval, Options};
use serde::Serialize;

use super::description::Description;
use super::{Images, ImagesRequest, ModelRequest, ModelUnderTest, ObserverAdapter, RunOptions};
use crate::{Error, Result};

/// Decisions on every image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictReport {
    /// Share that is right.
    pub accuracy: f64,
    /// Wilson's 95% interval of it.
    pub interval: Interval,
    /// Number of images.
    pub n: usize,
    /// The classifier's decision, `[n]`.
    pub predictions: Vec<u32>,
    /// True classes, `[n]`.
    pub labels: Vec<u16>,
    /// Classes of the classifier that no image is of: the accuracy says nothing about them.
    pub missing_classes: Vec<u32>,
    /// The classifier.
    pub classifier: Description,
    /// The images.
    pub data: Images,
}

/// Classifies every image.
///
/// # Errors
/// As [`super::attack()`].
pub fn predict(
    model: &ModelRequest,
    images: &ImagesRequest,
    run_options: &RunOptions<'_>,
) -> Result<PredictReport> {
    let (data, described) = images.load()?;
    let model = ModelUnderTest::load(model, &data, &described, run_options)?;
    let mut observer = ObserverAdapter(run_options.on_event);
    let mut options =
        Options { batch_size: run_options.batch_size, cancel: run_options.cancel, observer: &mut observer };
    let evaluation = Evaluation {
        model: model.classifier.as_ref(),
        criterion: &Misclassified,
        data: &data,
        // Without an attack nothing is drawn.
        seed: Seed::new(0),
    };
    let found = evaluation.clean(&mut options).map_err(Error::work("classifying"))?;
    Ok(PredictReport {
        accuracy: found.accuracy(),
        interval: found.interval(),
        n: found.len(),
        missing_classes: (0..model.classifier.num_classes() as u32)
            .filter(|&class| !data.labels().iter().any(|&label| u32::from(label) == class))
            .collect(),
        predictions: found.predictions,
        labels: data.labels().to_vec(),
        classifier: model.description,
        data: described,
    })
}
