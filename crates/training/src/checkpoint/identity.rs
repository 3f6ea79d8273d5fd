//! Which training a checkpoint belongs to.

use std::path::Path;

use robin_nn::Graph;
use serde_json::{Value, json};

use crate::trainer::Task;
use crate::{Error, Result};
use robin_files::checksum::sha256;

/// Everything that decides a training's result, apart from the first parameters, which the caller makes from the
/// architecture and a seed: a checkpoint is continued only by exactly the training that wrote it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity(pub(super) Value);

impl Identity {
    pub(crate) fn of(graph: &Graph, task: &Task<'_>) -> Result<Self> {
        let json = |value: serde_json::Result<Value>| value.map_err(|error| Error::Content(Box::new(error)));
        let tensors = graph.tensors();
        let shape = format!("{:?} {:?} {:?}", graph.input_shape(), graph.nodes(), tensors);
        Ok(Self(json!({
            "architecture": {
                "name": graph.name(),
                "input": graph.input_shape(),
                "outputs": graph.num_outputs(),
                "values": tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum::<usize>(),
                "layers_sha256": sha256(shape.as_bytes()),
            },
            "settings": json(serde_json::to_value(task.config))?,
            "labels": json(serde_json::to_value(task.labels))?,
            "data": { "images": task.data.len(), "sha256": task.data.sha256()? },
            "seed": json(serde_json::to_value(task.seed))?,
            "numerics": {
                "core": robin_core::NUMERICS,
                "nn": robin_nn::NUMERICS,
                "data": robin_data::NUMERICS,
                "attacks": robin_attacks::NUMERICS,
                "training": crate::NUMERICS,
            },
        })))
    }

    /// Refuses the checkpoint at `path` if its identity `found` is another.
    pub(super) fn check(&self, found: &Value, path: &Path) -> Result<()> {
        match difference("", found, &self.0) {
            None => Ok(()),
            Some((field, found, expected)) => {
                Err(Error::Foreign { path: path.to_owned(), field, found, expected })
            }
        }
    }
}

/// The first field that differs: its path, and both values.
fn difference(path: &str, found: &Value, expected: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected) {
        let nothing = Value::Null;
        let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
        return names.into_iter().find_map(|name| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (found, expected) = (found.get(name), expected.get(name));
            difference(&path, found.unwrap_or(&nothing), expected.unwrap_or(&nothing))
        });
    }
    let text = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    };
    (found != expected).then(|| (path.to_owned(), text(found), text(expected)))
}
