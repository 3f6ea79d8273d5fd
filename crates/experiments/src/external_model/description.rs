//! Which classifier is asked for, and what it is made of.

use std::path::PathBuf;

use robin_aggregation::Aggregation;
use robin_nn::{Graph, Parameters};
use serde::Serialize;
use serde_json::Value;

use super::normalize::{Normalize, Numbers};
use crate::{Device, Error, Result};

/// Which classifier.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// The architecture by its name, of every network of an aggregate; or the path of an ONNX model (`.onnx`).
    pub model: String,
    /// Weights, one file per network: safetensors, or PyTorch's (`.pt`, `.pth`). Files that say what their networks are
    /// for may come in any order, others in the aggregate's. None for an ONNX model, which has its own.
    pub weights: Vec<PathBuf>,
    /// Channels of the first convolution; `None`: as the weights say.
    pub width: Option<usize>,
    /// For weights without a normalisation of their own.
    pub normalize: Option<Normalize>,
    /// How several networks become one classifier.
    pub aggregate: Option<Aggregation>,
    /// What does the arithmetic.
    pub device: Device,
}

/// Bytes of the largest file of weights or images that is read.
pub(super) const MOST_BYTES: u64 = 1 << 33;

/// What a classifier is made of; lists have the aggregate's order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// The architecture.
    pub model: String,
    /// Channels of the first convolution, per network.
    pub widths: Vec<usize>,
    /// How the networks are joined; `None` for a single one.
    pub aggregate: Option<String>,
    /// SHA-256 of each weights file, without what it says about its network.
    pub weights_sha256: Vec<String>,
    /// What each network is for, where the files say it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Numbers supplied for weights without a normalisation, as they were asked for.
    pub normalize: Option<String>,
    /// What the networks' first layers do: once if all do the same, else for each.
    pub normalization: Vec<Numbers>,
    /// What does the arithmetic.
    pub device: String,
}

impl Description {
    /// What decides results, in the form that evaluations have had in their settings from the beginning: what follows from
    /// the rest is left out, so that those of earlier versions can be continued.
    pub(super) fn identity(&self) -> Result<Value> {
        let json = |source| Error::Json { what: "the classifier's description", source };
        let mut identity = serde_json::to_value(self).map_err(json)?;
        if let Some(fields) = identity.as_object_mut() {
            fields.retain(|name, _| !matches!(name.as_str(), "networks" | "normalization"));
        }
        Ok(identity)
    }
}

/// The networks one by one, before they are joined.
pub(super) struct Networks {
    /// Architecture and parameters.
    pub(super) plain: Vec<(Graph, Parameters)>,
    /// What they are, for reports.
    pub(super) description: Description,
}

/// Checks that the width that was given, if any, is that of the weights in `file`.
pub(super) fn check_width(given: Option<usize>, found: usize, file: &str) -> Result<()> {
    match given {
        Some(given) if given != found => Err(Error::Unfit {
            option: "--width",
            given: given.to_string(),
            reason: format!("{file} has width {found}; leave the option out"),
        }),
        _ => Ok(()),
    }
}
