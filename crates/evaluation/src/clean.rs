//! Accuracy without an attack.

use robin_core::{CancelToken, ExampleId, Target};
use robin_data::LabelMap;
use serde::{Deserialize, Serialize};

use crate::options::{Options, Progress, batches};
use crate::statistics::{Interval, accuracy, interval};
use crate::{Error, Evaluation, Outcome, Result, compact};

/// Decisions on the clean images, in the data set's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Parts")]
pub struct Clean {
    /// Whether the judge calls it misclassified without any attack, `[n]`.
    #[serde(rename = "broken", with = "compact::bits")]
    pub misclassified: Vec<bool>,
    /// The classifier's decision, `[n]`.
    #[serde(with = "compact::classes")]
    pub predictions: Vec<u32>,
}

/// What is read, before its lengths are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(rename = "broken", with = "compact::bits")]
    misclassified: Vec<bool>,
    #[serde(with = "compact::classes")]
    predictions: Vec<u32>,
}

impl TryFrom<Parts> for Clean {
    type Error = Error;

    fn try_from(Parts { misclassified, predictions }: Parts) -> Result<Self> {
        match (predictions.len(), misclassified.len()) {
            (found, expected) if found != expected => {
                Err(Error::Examples { what: "predictions", found, expected })
            }
            _ => Ok(Self { misclassified, predictions }),
        }
    }
}

impl Clean {
    /// Clean accuracy: the share of examples that are not misclassified.
    pub fn accuracy(&self) -> f64 {
        accuracy(&self.misclassified)
    }

    /// Wilson's 95% interval of the accuracy.
    pub fn interval(&self) -> Interval {
        interval(&self.misclassified)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.misclassified.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.misclassified.is_empty()
    }

    /// The examples that are right when clean, ascending: those that an attack meets. Refused is a result of other
    /// than `expected` examples.
    pub(crate) fn attackable(&self, expected: usize) -> Result<Vec<u32>> {
        if expected == 0 {
            return Err(Error::Empty);
        }
        let found = self.len().min(self.predictions.len());
        if found != expected || self.len() != self.predictions.len() {
            return Err(Error::Examples { what: "the clean result", found, expected });
        }
        Ok((0..expected as u32).filter(|&index| !self.misclassified[index as usize]).collect())
    }

    /// What an attack has done before it begins: nothing.
    pub(crate) fn untouched(&self) -> Outcome {
        let sizes = vec![0.0; self.len()];
        Outcome { misclassified: self.misclassified.clone(), predictions: self.predictions.clone(), sizes }
    }
}

impl Evaluation<'_> {
    /// Classifies every image.
    ///
    /// # Errors
    /// [`Error::Empty`], [`Error::BatchSize`]; otherwise as the classifier's; see [`Error::is_cancelled`].
    pub fn clean(&self, options: &mut Options<'_>) -> Result<Clean> {
        let &Self { model, criterion, data, .. } = self;
        if data.is_empty() {
            return Err(Error::Empty);
        }
        let cancel: &CancelToken = options.cancel;
        let target = Target { model, criterion, cancel };
        let mut clean = Clean { misclassified: Vec::new(), predictions: Vec::new() };
        let mut misclassified = 0;
        let examples: Vec<u32> = (0..data.len() as u32).collect();
        for examples in batches(options.batch_size, &examples)? {
            cancel.check()?;
            let ids: Vec<ExampleId> = examples.iter().map(|&index| ExampleId::first(index)).collect();
            let batch = data.batch(&ids, &LabelMap::Identity)?;
            for verdict in target.verdicts(&batch.images, &batch.labels)? {
                clean.misclassified.push(verdict.misclassified);
                clean.predictions.push(verdict.prediction);
                misclassified += usize::from(verdict.misclassified);
            }
            options.observer.progress(&Progress { done: clean.len(), of: data.len(), misclassified });
        }
        Ok(clean)
    }
}
