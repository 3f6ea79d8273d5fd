//! What Python gives as a model, and the classifier that becomes of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use numpy::{PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyTuple};
use robin_aggregation::Aggregation;
use robin_core::Classifier;
use robin_import::onnx::Model;
use robin_import::pickle::Tensor;
use robin_import::state_dict::StateDict;
use robin_import::{Network, Normalization};
use robin_nn::executor;

use crate::{detached, refused};

/// One network, read and not yet understood.
enum Source {
    Onnx(Model),
    StateDict(StateDict),
}

/// The networks of a classifier, with what is said of them.
pub(crate) struct ModelRequest {
    sources: Vec<Source>,
    architecture: Option<String>,
    pub(crate) aggregate: Option<Aggregation>,
    normalization: Option<Normalization>,
}

impl ModelRequest {
    /// Takes everything out of Python that is needed.
    pub(crate) fn new(
        model: &Bound<'_, PyAny>,
        architecture: Option<&str>,
        aggregate: Option<&str>,
        mean: Option<Vec<f32>>,
        std: Option<Vec<f32>>,
    ) -> PyResult<Self> {
        let normalization = match (mean, std) {
            (None, None) => None,
            (Some(mean), Some(std)) => Some([mean, std]),
            _ => return Err(PyValueError::new_err("mean and std go together: give both, or neither")),
        };
        let several = model.is_instance_of::<PyList>() || model.is_instance_of::<PyTuple>();
        let aggregate = aggregate.map(str::parse).transpose().map_err(refused)?;
        let sources = match (several, aggregate) {
            (false, None) => vec![source(model)?],
            (true, Some(_)) => model.try_iter()?.map(|one| source(&one?)).collect::<PyResult<_>>()?,
            (true, None) => {
                return Err(PyValueError::new_err("several models: say how they are joined, by aggregate="));
            }
            (false, Some(_)) => {
                return Err(PyValueError::new_err("aggregate= joins several models: give a list of them"));
            }
        };
        Ok(Self { sources, architecture: architecture.map(str::to_owned), aggregate, normalization })
    }

    /// The classifier for images `[c, h, w]`.
    pub(crate) fn classifier(&self, images: [usize; 3]) -> PyResult<Box<dyn Classifier>> {
        let networks = self.sources.iter().map(|source| self.network(source, images));
        let mut networks: Vec<Box<dyn Classifier>> = networks.collect::<PyResult<_>>()?;
        match self.aggregate {
            Some(aggregate) => aggregate.build(networks).map_err(refused),
            None => Ok(networks.remove(0)),
        }
    }

    fn network(&self, source: &Source, images: [usize; 3]) -> PyResult<Box<dyn Classifier>> {
        let normalization = self.normalization.as_ref();
        let twice = |normalizes: bool| match (normalizes, normalization) {
            (true, Some(_)) => {
                Err(PyValueError::new_err("the model normalises its images itself: leave mean and std out"))
            }
            _ => Ok(()),
        };
        let Network { graph, parameters, .. } = match source {
            Source::Onnx(model) => {
                let network = model.network(Some(images), normalization).map_err(refused)?;
                twice(network.normalizes)?;
                network
            }
            Source::StateDict(tensors) => {
                let Some(architecture) = &self.architecture else {
                    let names: Vec<&str> = robin_models::MODELS.iter().map(|entry| entry.name).collect();
                    let names = names.join(", ");
                    return Err(PyValueError::new_err(format!(
                        "a state_dict needs its architecture (one of: {names})"
                    )));
                };
                twice(tensors.normalizes())?;
                // As many architectures here begin with a normalisation: one that does nothing, where nothing is said.
                let nothing = [vec![0.0; images[0]], vec![1.0; images[0]]];
                let normalization = normalization.or((!tensors.normalizes()).then_some(&nothing));
                tensors.network(architecture, images, normalization).map_err(refused)?.0
            }
        };
        executor("cpu").and_then(|executor| executor.classifier(&graph, &parameters)).map_err(refused)
    }
}

fn source(model: &Bound<'_, PyAny>) -> PyResult<Source> {
    if let Ok(tensors) = model.cast::<PyMapping>() {
        return tensors_of(tensors).map(Source::StateDict);
    }
    let Ok(path) = model.extract::<PathBuf>() else {
        let kind = model.get_type().name()?;
        return Err(PyValueError::new_err(format!(
            "a model is a state_dict (net.state_dict()), or the path of an ONNX model or a .pt file, not a {kind}"
        )));
    };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") => Model::read(&path).map(Source::Onnx).map_err(refused),
        _ => StateDict::read(&path).map(Source::StateDict).map_err(refused),
    }
}

/// Names and tensors: PyTorch's, or whatever NumPy makes arrays of.
fn tensors_of(mapping: &Bound<'_, PyMapping>) -> PyResult<StateDict> {
    let py = mapping.py();
    let numpy = py.import("numpy")?;
    let float = PyDict::new(py);
    float.set_item("dtype", "float32")?;
    let mut tensors = BTreeMap::new();
    for item in mapping.items()? {
        let (name, value): (String, Bound<'_, PyAny>) = item.extract()?;
        let array = numpy.call_method("ascontiguousarray", (detached(&value)?,), Some(&float))?;
        let array: PyReadonlyArrayDyn<'_, f32> = array.extract()?;
        let tensor =
            Tensor { shape: array.shape().to_vec(), values: array.as_array().iter().copied().collect() };
        tensors.insert(name, tensor);
    }
    Ok(StateDict::of(tensors, "the state_dict"))
}
