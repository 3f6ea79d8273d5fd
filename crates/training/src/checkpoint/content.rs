//! A training's state as the bytes of a safetensors file, and back.
//!
//! Tensors are f32: `parameters/NAME`, `velocities/NAME`, and where there are any `average/NAME` and `best/NAME`. The one
//! entry of the metadata, `checkpoint`, holds the seal and then JSON: format, identity, and what is no tensor.

use std::collections::HashMap;

use robin_nn::{NamedTensor, Parameters};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

use super::Identity;
use super::seal;
use crate::state::State;
use crate::{Best, EpochReport, Error, Result, Tally, ValidationReport, Warning};

/// Raised when older checkpoints can no longer be read.
const FORMAT: u64 = 1;
const ENTRY: &str = "checkpoint";

/// What a whole checkpoint holds.
#[derive(Debug)]
pub(crate) struct Content {
    identity: Value,
    progress: Progress,
    /// By name.
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

/// The state without its tensors.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    epoch: usize,
    step: usize,
    best: Option<(usize, ValidationReport)>,
    epochs: Vec<EpochReport>,
    loss: f64,
    tally: Tally,
    warnings: Vec<Warning>,
}

impl Progress {
    /// Refuses what no training comes to, for one that would begin as `fresh`: the seal says that nobody changed a byte.
    fn check(&self, fresh: &State) -> Result<(), String> {
        let Self { epoch, epochs, tally, .. } = self;
        if epochs.len() != *epoch {
            return Err(format!("{} reports of {epoch} epochs", epochs.len()));
        }
        if !tally.fits(&fresh.tally) {
            return Err(format!("counts of other than {} classes", fresh.tally.classes()));
        }
        Ok(())
    }
}

/// The bytes of a sealed checkpoint.
pub(super) fn encode(identity: &Identity, parameters: &Parameters, state: &State) -> Result<Vec<u8>> {
    let fault = |error: serde_json::Error| Error::Content(Box::new(error));
    let progress = Progress {
        epoch: state.epoch,
        step: state.step,
        best: state.best.as_ref().map(|best| (best.epoch, best.validation)),
        epochs: state.epochs.clone(),
        loss: state.loss,
        tally: state.tally.clone(),
        warnings: state.warnings.clone(),
    };
    let progress = serde_json::to_value(progress).map_err(fault)?;
    let text = exact(json!({ "format": FORMAT, "identity": identity.0, "progress": progress })).to_string();
    let metadata = HashMap::from([(ENTRY.to_owned(), format!("{} {text}", seal::room()))]);

    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    let sets = [
        ("parameters", Some(parameters)),
        ("average", state.average.as_ref()),
        ("best", state.best.as_ref().map(|best| &best.parameters)),
    ];
    for (prefix, set) in sets {
        for NamedTensor { name, shape, values } in
            set.into_iter().flat_map(|p| p.trained.iter().chain(&p.buffers))
        {
            tensors.push((format!("{prefix}/{name}"), shape.clone(), bytes(values)));
        }
    }
    for (tensor, velocity) in parameters.trained.iter().zip(state.sgd.velocities()) {
        tensors.push((format!("velocities/{}", tensor.name), tensor.shape.clone(), bytes(velocity)));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let file = views.and_then(|views| serialize(views, Some(metadata)));
    let mut file = file.map_err(|error| Error::Content(Box::new(error)))?;
    seal::close(&mut file);
    Ok(file)
}

impl Content {
    /// Of the bytes of a file, or why they are no whole checkpoint.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        seal::verify(bytes)?;
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (_, header) = robin_files::tensors::header(bytes).map_err(|error| text(&error))?;
        let entry = header.metadata().as_ref().and_then(|metadata| metadata.get(ENTRY));
        let entry = entry.ok_or_else(|| format!("no entry {ENTRY:?} in its metadata"))?;
        let json =
            entry.get(seal::room().len()..).ok_or_else(|| format!("nothing behind the seal in {ENTRY:?}"))?;
        let value: Value = robin_files::json::parse(json).map_err(|error| text(&error))?;
        let mut value = inexact(value);
        if !value.is_object() {
            return Err("no object behind the seal".to_owned());
        }
        if value["format"] != FORMAT {
            return Err(format!("format {}, this program reads {FORMAT}", value["format"]));
        }
        let progress = serde_json::from_value(value["progress"].take()).map_err(|error| text(&error))?;
        let file = robin_files::tensors::open(bytes).map_err(|error| text(&error))?;
        let tensors = file.iter().map(|(name, view)| {
            if view.dtype() != Dtype::F32 {
                return Err(format!("tensor {name} is {:?}, expected F32", view.dtype()));
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Ok((name.to_owned(), (view.shape().to_vec(), values)))
        });
        let tensors = tensors.collect::<Result<_, String>>()?;
        Ok(Self { identity: value["identity"].take(), progress, tensors })
    }

    /// Parameters of the names and shapes that it has.
    pub(super) fn shapes(&self) -> Parameters {
        let own = self.tensors.iter().filter_map(|(name, (shape, values))| {
            let name = name.strip_prefix("parameters/")?.to_owned();
            Some(NamedTensor { name, shape: shape.clone(), values: values.clone() })
        });
        Parameters { trained: own.collect(), buffers: Vec::new() }
    }

    pub(super) fn identity(&self) -> &Value {
        &self.identity
    }

    /// The state and the parameters, for a network with `present` ones whose training would begin as `fresh`.
    pub(crate) fn into_state(mut self, present: &Parameters, fresh: &State) -> Result<(State, Parameters)> {
        self.progress.check(fresh).map_err(|reason| Error::Content(reason.into()))?;
        let parameters = self.parameters("parameters", present)?;
        let has =
            |tensors: &HashMap<String, _>, prefix: &str| tensors.keys().any(|name| name.starts_with(prefix));
        let average = match has(&self.tensors, "average/") {
            true => Some(self.parameters("average", present)?),
            false => None,
        };
        let best = match self.progress.best.take() {
            Some((epoch, validation)) => {
                Some(Best { epoch, validation, parameters: self.parameters("best", present)? })
            }
            None => None,
        };
        let velocities = match has(&self.tensors, "velocities/") {
            true => self.tensors("velocities", &present.trained)?.into_iter().map(|t| t.values).collect(),
            false => Vec::new(),
        };
        let Progress { epoch, step, epochs, loss, tally, warnings, .. } = self.progress;
        let sgd = fresh.sgd.clone().with_velocities(velocities);
        Ok((State { epoch, step, sgd, average, best, epochs, loss, tally, warnings }, parameters))
    }

    fn parameters(&mut self, prefix: &str, like: &Parameters) -> Result<Parameters> {
        let trained = self.tensors(prefix, &like.trained)?;
        Ok(Parameters { trained, buffers: self.tensors(prefix, &like.buffers)? })
    }

    fn tensors(&mut self, prefix: &str, like: &[NamedTensor]) -> Result<Vec<NamedTensor>> {
        like.iter()
            .map(|NamedTensor { name, shape, .. }| {
                let key = format!("{prefix}/{name}");
                match self.tensors.remove(&key) {
                    Some((found, values)) if found == *shape => {
                        Ok(NamedTensor { name: name.clone(), shape: found, values })
                    }
                    other => {
                        let found = other.map(|(shape, _)| shape);
                        let reason = format!("tensor {key} has shape {found:?}, expected {shape:?}");
                        Err(Error::Content(reason.into()))
                    }
                }
            })
            .collect()
    }
}

/// `value` with every fraction written by its bits: JSON's decimals may come back in another last place.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let bits = number.as_f64().map_or(0, f64::to_bits);
            Value::String(format!("{BITS}{bits:016x}"))
        }
        other => each(other, exact),
    }
}

/// The inverse of [`exact`].
fn inexact(value: Value) -> Value {
    match value {
        Value::String(text) => {
            let bits = text.strip_prefix(BITS).and_then(|digits| u64::from_str_radix(digits, 16).ok());
            let number = bits.and_then(|bits| Number::from_f64(f64::from_bits(bits)));
            number.map_or(Value::String(text), Value::Number)
        }
        other => each(other, inexact),
    }
}

const BITS: &str = "f64 bits ";

fn each(value: Value, change: fn(Value) -> Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(change).collect()),
        Value::Object(fields) => Value::Object(fields.into_iter().map(|(k, v)| (k, change(v))).collect()),
        plain => plain,
    }
}
