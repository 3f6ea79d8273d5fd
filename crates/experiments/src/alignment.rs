//! Coherence over a whole data set.

use robin_aggregation::{Aggregation, OneVsAll};
use robin_coherence::Example;
use robin_core::{CancelToken, Classifier, ExampleId};
use robin_data::{Dataset, LabelMap};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whose gradients are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// The true class's arm with every other arm, by their binary losses.
    Arms,
    /// All pairs of networks for one task, by their cross-entropies.
    Networks,
}

impl Compared {
    /// What is compared in an aggregate; `None` for one that is neither.
    pub fn of(aggregation: Aggregation) -> Option<Self> {
        match aggregation {
            Aggregation::OneVsAll => Some(Self::Arms),
            members if members.takes_members() => Some(Self::Networks),
            _ => None,
        }
    }
}

/// Coherence of every example of `data` with `networks`, in the aggregate's order; `told` hears how many are done.
pub(crate) fn measure(
    compared: Compared,
    networks: Vec<Box<dyn Classifier>>,
    data: &Dataset,
    batch_size: usize,
    cancel: &CancelToken,
    mut told: impl FnMut(usize),
) -> Result<Vec<Example>> {
    Error::check_count("--batch", batch_size, robin_evaluation::MOST_BATCH)?;
    let doing = "measuring coherence";
    let (mut arms, mut members) = (None, Vec::new());
    match compared {
        Compared::Arms => arms = Some(OneVsAll::new(networks).map_err(Error::work("joining the arms"))?),
        Compared::Networks => members = networks,
    }
    let members: Vec<&dyn Classifier> = members.iter().map(AsRef::as_ref).collect();
    let mut examples = Vec::with_capacity(data.len());
    let indices: Vec<u32> = (0..data.len() as u32).collect();
    for indices in indices.chunks(batch_size) {
        cancel.check().map_err(|_| Error::Cancelled)?;
        let ids: Vec<ExampleId> = indices.iter().map(|&index| ExampleId::first(index)).collect();
        let batch = data.batch(&ids, &LabelMap::Identity).map_err(Error::work(doing))?;
        examples.extend(match &arms {
            Some(arms) => robin_coherence::arms(arms, &batch).map_err(Error::work(doing))?,
            None => robin_coherence::networks(&members, &batch).map_err(Error::work(doing))?,
        });
        told(examples.len());
    }
    Ok(examples)
}
