//! Adversarial examples as files that anyone can check.

#[cfg(test)]
mod tests;
mod verify;

use std::collections::{HashMap, HashSet};

use robin_core::{Batch, Budget, Epsilon, Iterate, Norm, host};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};
pub use verify::{Rounded, Verification, verify};

/// Perturbed images that mislead a classifier, with all that a checker needs beside the clean data and the
/// weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Witnesses {
    /// What each keeps.
    pub budget: Budget,
    /// [`robin_data::Dataset::sha256`] of the clean examples.
    pub data_sha256: String,
    /// `[c, h, w]`.
    pub shape: [usize; 3],
    /// Places in the data set, `[m]`.
    pub ids: Vec<u32>,
    /// True classes, `[m]`.
    pub labels: Vec<u32>,
    /// What the classifier said to the perturbed image, `[m]`.
    pub predictions: Vec<u32>,
    /// `[m, c, h, w]`, row-major.
    pub images: Vec<f32>,
    /// Which attack on which classifier found them, as whoever ran it says it; none in files that do not tell.
    pub made_by: Option<serde_json::Value>,
}

/// The entry of the file's metadata.
const METADATA: &str = "witnesses";

/// What that entry says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    norm: Norm,
    epsilon: Epsilon,
    data_sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_by: Option<serde_json::Value>,
}

impl Witnesses {
    /// None yet.
    pub fn new(budget: Budget, data_sha256: &str, shape: [usize; 3]) -> Self {
        Self {
            budget,
            data_sha256: data_sha256.to_owned(),
            shape,
            ids: Vec::new(),
            labels: Vec::new(),
            predictions: Vec::new(),
            images: Vec::new(),
            made_by: None,
        }
    }

    /// Number of witnesses.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Keeps what an attack broke, one witness per example: the first.
    ///
    /// # Errors
    /// [`Error::OtherBudget`] if the attack had a larger budget or another norm.
    pub(crate) fn add(&mut self, batch: &Batch, found: &Iterate, budget: Budget) -> Result<()> {
        if budget.norm != self.budget.norm || budget.epsilon.get() > self.budget.epsilon.get() {
            return Err(Error::OtherBudget { found: budget, expected: self.budget });
        }
        let images = host::to_vec(&found.images)?;
        let length = self.shape.iter().product::<usize>();
        for (row, verdict) in found.verdicts.iter().enumerate() {
            let id = batch.ids[row].index;
            if verdict.misclassified && !self.ids.contains(&id) {
                self.ids.push(id);
                self.labels.push(batch.labels[row]);
                self.predictions.push(verdict.prediction);
                self.images.extend_from_slice(&images[row * length..(row + 1) * length]);
            }
        }
        Ok(())
    }

    /// The bytes of a safetensors file: `images` f32 `[m, c, h, w]`, `ids`, `labels`, `predictions` u32
    /// `[m]`; metadata `witnesses`, JSON with `norm`, `epsilon`, `data_sha256` and `made_by`.
    ///
    /// # Errors
    /// [`Error::Safetensors`].
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let (m, [c, h, w]) = (self.len(), self.shape);
        let images: Vec<u8> = self.images.iter().flat_map(|value| value.to_le_bytes()).collect();
        let numbers =
            |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let (ids, labels, predictions) =
            (numbers(&self.ids), numbers(&self.labels), numbers(&self.predictions));
        let views = [
            ("images", TensorView::new(Dtype::F32, vec![m, c, h, w], &images)),
            ("ids", TensorView::new(Dtype::U32, vec![m], &ids)),
            ("labels", TensorView::new(Dtype::U32, vec![m], &labels)),
            ("predictions", TensorView::new(Dtype::U32, vec![m], &predictions)),
        ];
        let fault = |source| Error::Safetensors { file: "witnesses in memory".to_owned(), source };
        let views = views.into_iter().map(|(name, view)| Ok((name, view?))).collect::<Result<Vec<_>, _>>();
        // One entry, because a map of several would be written in any order, and equal witnesses are equal
        // bytes.
        let said = Said {
            norm: self.budget.norm,
            epsilon: self.budget.epsilon,
            data_sha256: self.data_sha256.clone(),
            made_by: self.made_by.clone(),
        };
        let said = serde_json::to_string(&said)
            .map_err(|source| Error::Json { what: "the witnesses' metadata", source })?;
        let metadata = HashMap::from([(METADATA.to_owned(), said)]);
        safetensors::serialize(views.map_err(fault)?, Some(metadata)).map_err(fault)
    }

    /// Reads [`Witnesses::to_safetensors`]' bytes; `file` names them in messages.
    ///
    /// # Errors
    /// [`Error::Safetensors`] for other bytes, [`Error::Witness`] for a part that is missing or does not fit.
    pub fn from_safetensors(bytes: &[u8], file: &str) -> Result<Self> {
        let fault = |source| Error::Safetensors { file: file.to_owned(), source };
        let wrong = |reason: String| Error::Witness { file: file.to_owned(), reason };
        let found = robin_files::tensors::open(bytes).map_err(fault)?;
        let (_, header) = robin_files::tensors::header(bytes).map_err(fault)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let said =
            metadata.get(METADATA).ok_or_else(|| wrong(format!("metadata `{METADATA}` is missing")))?;
        let said: Said =
            robin_files::json::parse(said).map_err(|error| wrong(format!("metadata: {error}")))?;
        let budget = Budget { norm: said.norm, epsilon: said.epsilon };
        let tensor = |name: &str, dtype: Dtype| match found.tensor(name) {
            Ok(view) if view.dtype() == dtype => Ok(view),
            Ok(view) => Err(wrong(format!("{name} is {:?}, expected {dtype:?}", view.dtype()))),
            Err(_) => Err(wrong(format!("tensor {name} is missing"))),
        };
        let images = tensor("images", Dtype::F32)?;
        let &[m, c, h, w] = images.shape() else {
            return Err(wrong(format!("images have shape {:?}, expected [m, c, h, w]", images.shape())));
        };
        let numbers = |name: &str| {
            let view = tensor(name, Dtype::U32)?;
            if view.shape() != [m] {
                return Err(wrong(format!("{name} has shape {:?}, expected [{m}]", view.shape())));
            }
            Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
        };
        let ids: Vec<u32> = numbers("ids")?;
        let mut seen = HashSet::new();
        if let Some(id) = ids.iter().find(|id| !seen.insert(**id)) {
            return Err(wrong(format!("example {id} stands there twice, and would be counted twice")));
        }
        let values =
            images.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Self {
            budget,
            data_sha256: said.data_sha256,
            shape: [c, h, w],
            ids,
            labels: numbers("labels")?,
            predictions: numbers("predictions")?,
            images: values,
            made_by: said.made_by,
        })
    }
}
