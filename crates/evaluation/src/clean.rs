//! Accuracy without an attack.

use robin_core::{CancelToken, Classifier, ExampleId, SuccessCriterion, Target};
use robin_data::{Dataset, LabelMap};
use serde::{Deserialize, Serialize};

use crate::options::{Options, Progress, batches};
use crate::statistics::{Interval, accuracy, interval};
use crate::{Error, Result, compact};

/// Decisions on the clean images, in the data set's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Parts")]
pub struct Clean {
    /// Whether the judge calls it broken without any attack, `[n]`.
    #[serde(with = "compact::bits")]
    pub broken: Vec<bool>,
    /// The classifier's decision, `[n]`.
    #[serde(with = "compact::classes")]
    pub predictions: Vec<u32>,
}

/// What is read, before its lengths are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(with = "compact::bits")]
    broken: Vec<bool>,
    #[serde(with = "compact::classes")]
    predictions: Vec<u32>,
}

impl TryFrom<Parts> for Clean {
    type Error = Error;

    fn try_from(Parts { broken, predictions }: Parts) -> Result<Self> {
        match (predictions.len(), broken.len()) {
            (found, expected) if found != expected => {
                Err(Error::Examples { what: "predictions", found, expected })
            }
            _ => Ok(Self { broken, predictions }),
        }
    }
}

impl Clean {
    /// Clean accuracy: the share of examples that are not broken.
    pub fn accuracy(&self) -> f64 {
        accuracy(&self.broken)
    }

    /// Wilson's 95% interval of the accuracy.
    pub fn interval(&self) -> Interval {
        interval(&self.broken)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.broken.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Classifies every image of `data`.
///
/// # Errors
/// [`Error::Empty`], [`Error::BatchSize`]; otherwise as the classifier's; see [`Error::is_cancelled`].
pub fn clean(
    model: &dyn Classifier,
    criterion: &dyn SuccessCriterion,
    data: &Dataset,
    options: &mut Options<'_>,
) -> Result<Clean> {
    if data.is_empty() {
        return Err(Error::Empty);
    }
    let cancel: &CancelToken = options.cancel;
    let target = Target { model, criterion, cancel };
    let mut clean = Clean { broken: Vec::new(), predictions: Vec::new() };
    let mut broken = 0;
    let examples: Vec<u32> = (0..data.len() as u32).collect();
    for examples in batches(options.batch_size, &examples)? {
        cancel.check()?;
        let ids: Vec<ExampleId> = examples.iter().map(|&index| ExampleId::first(index)).collect();
        let batch = data.batch(&ids, &LabelMap::Identity)?;
        for verdict in target.verdicts(&batch.images, &batch.labels)? {
            clean.broken.push(verdict.broken);
            clean.predictions.push(verdict.prediction);
            broken += usize::from(verdict.broken);
        }
        options.observer.progress(&Progress { done: clean.len(), of: data.len(), broken });
    }
    Ok(clean)
}
