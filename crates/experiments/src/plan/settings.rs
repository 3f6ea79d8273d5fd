//! Everything that decides a network, in the form that is hashed and kept.

use robin_data::Dataset;
use serde_json::{Value, json};

use crate::cell::NetworkWork;
use crate::spec::Normalize;
use crate::{Device, Error, Result};

/// What a [`NetworkWork`] no longer says about itself.
pub(crate) struct NetworkIdentity<'a> {
    /// Architecture.
    pub(crate) model: &'a str,
    /// Channels of its first convolution.
    pub(crate) width: usize,
    /// Root seed.
    pub(crate) root: u64,
    /// Number of the network under it.
    pub(crate) address: u64,
}

/// The settings of a network: its key is their hash.
pub(crate) fn network_settings(
    work: &NetworkWork,
    identity: &NetworkIdentity<'_>,
    device: Device,
) -> Result<Value> {
    let mut settings = json!({
        "kind": "network",
        "model": {
            "name": identity.model,
            "width": identity.width,
            "input": work.graph.input_shape(),
            "outputs": work.graph.num_outputs(),
        },
        "data": data(&work.data)?,
        "labels": json("label map", &work.labels)?,
        "training": json("training settings", &work.config)?,
        "seed": { "root": identity.root, "network": identity.address },
        "training_set": { "data": data(&work.measured)? },
        "executor": device.executor().name(),
        "numerics": numerics(&[
            "core", "kernels", "nn", "data", "models", "attacks", "training", "evaluation", "experiments",
        ]),
    });
    if let Some((attack, budget)) = &work.attack {
        settings["training_set"]["attack"] = json("attack settings", attack)?;
        settings["training_set"]["budget"] = json("budget", budget)?;
    }
    // Left out where there is none, so that the keys of such networks are what they always were.
    if let Some(normalize) = &work.normalize {
        settings["model"]["normalize"] = json("normalisation", normalize)?;
    }
    Ok(settings)
}

/// One value for each channel, and no division by zero.
pub(crate) fn check_normalize(Normalize { mean, std }: &Normalize, channels: usize) -> Result<(), String> {
    if mean.len() != channels || std.len() != channels {
        return Err(format!(
            "normalize has {} means and {} deviations, the images {channels} channels",
            mean.len(),
            std.len()
        ));
    }
    let legal =
        mean.iter().all(|mean| mean.is_finite()) && std.iter().all(|std| *std > 0.0 && std.is_finite());
    if legal {
        Ok(())
    } else {
        Err(format!("normalize: mean {mean:?}, std {std:?}: finite numbers, std > 0"))
    }
}

/// `NUMERICS` of the named crates, in this order: the order is part of a key's text.
pub(crate) fn numerics(crates: &[&'static str]) -> Value {
    let number = |name: &str| match name {
        "core" => robin_core::NUMERICS,
        "kernels" => robin_kernels::NUMERICS,
        "nn" => robin_nn::NUMERICS,
        "data" => robin_data::NUMERICS,
        "models" => robin_models::NUMERICS,
        "attacks" => robin_attacks::NUMERICS,
        "aggregation" => robin_aggregation::NUMERICS,
        "coherence" => robin_coherence::NUMERICS,
        "training" => robin_training::NUMERICS,
        "evaluation" => robin_evaluation::NUMERICS,
        "experiments" => crate::NUMERICS,
        other => unreachable!("no crate {other} decides a number"),
    };
    crates.iter().map(|&name| (name.to_owned(), Value::from(number(name)))).collect()
}

pub(super) fn json(what: &'static str, value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| Error::Json { what, source })
}

/// What data are, and not only what they are called.
pub(super) fn data(data: &Dataset) -> Result<Value> {
    let sha256 = data.sha256().map_err(|source| Error::Data {
        dataset: data.name().to_owned(),
        place: "its files".to_owned(),
        source: Box::new(source),
    })?;
    Ok(json!({
        "name": data.name(),
        "split": data.split().to_string(),
        "images": data.len(),
        "sha256": sha256,
    }))
}
