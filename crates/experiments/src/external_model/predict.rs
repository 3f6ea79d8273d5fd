//! What a classifier says to images.

use robin_core::{Misclassified, Seed};
use robin_evaluation::{Evaluation, Interval, Options};
use serde::Serialize;

use super::description::Description;
use super::{How, Images, ImagesRequest, ModelRequest, ModelUnderTest, Teller};
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
pub fn predict(subject: &ModelRequest, images: &ImagesRequest, how: &How<'_>) -> Result<PredictReport> {
    let (data, described) = images.load()?;
    let subject = ModelUnderTest::load(subject, &data, &described, how)?;
    let mut teller = Teller(how.tell);
    let mut options = Options { batch_size: how.batch_size, cancel: how.cancel, observer: &mut teller };
    let evaluation = Evaluation {
        model: subject.classifier.as_ref(),
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
        missing_classes: (0..subject.classifier.num_classes() as u32)
            .filter(|&class| !data.labels().iter().any(|&label| u32::from(label) == class))
            .collect(),
        predictions: found.predictions,
        labels: data.labels().to_vec(),
        classifier: subject.description,
        data: described,
    })
}
