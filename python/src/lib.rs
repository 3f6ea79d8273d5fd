//! `import robin`: how robust is a classifier? Networks as PyTorch or ONNX have them, images and labels as NumPy arrays.
//!
//! Reading order: this file (what Python sees), `model` (what becomes a classifier), `run` (the attacks).

#![warn(missing_docs)]

mod model;
mod run;

use numpy::{IntoPyArray, PyArray1, PyArray4, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray4};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use robin_attacks::ATTACKS;
use robin_attacks::bundle::AUTOATTACK;
use robin_core::{Budget, Epsilon};
use robin_evaluation::{accuracy, interval};

use model::ModelRequest;
use run::{Job, Stage, stages};

/// What attacks found, in the order of the images that they were given.
#[pyclass(frozen, module = "robin")]
struct Found {
    /// float32 `[n, c, h, w]`, within the budget: the adversarial image; where no attack found one, the best try of the last;
    /// the clean image where it is misclassified as it is.
    #[pyo3(get)]
    images: Py<PyArray4<f32>>,
    /// The class of each of `images`, `[n]`.
    #[pyo3(get)]
    predictions: Py<PyArray1<u32>>,
    /// The class of each clean image, `[n]`.
    #[pyo3(get)]
    clean_predictions: Py<PyArray1<u32>>,
    /// Whether its class is not its label, `[n]`; an image that is misclassified clean counts as it is.
    #[pyo3(get)]
    misclassified: Py<PyArray1<bool>>,
    /// The attack that broke each image: `clean` without one, nothing where it withstands all.
    #[pyo3(get)]
    misclassified_by: Vec<Option<String>>,
    /// Share of images that withstand every attack.
    #[pyo3(get)]
    accuracy: f64,
    /// Wilson's 95% interval of `accuracy`.
    #[pyo3(get)]
    interval: (f64, f64),
    /// Share of images that are right without an attack.
    #[pyo3(get)]
    clean_accuracy: f64,
    /// What is doubtful, in words.
    #[pyo3(get)]
    warnings: Vec<String>,
}

#[pymethods]
impl Found {
    fn __repr__(&self) -> String {
        let (low, high) = self.interval;
        format!(
            "{:.1}% of {} images withstand it (95% interval {:.1}% to {:.1}%); {:.1}% are right without an attack",
            100.0 * self.accuracy,
            self.misclassified_by.len(),
            100.0 * low,
            100.0 * high,
            100.0 * self.clean_accuracy
        )
    }
}

/// Attacks every image that the classifier gets right.
///
/// `model` is a state_dict (names to tensors or arrays) of the network `architecture`, or the path of an ONNX model or of a
/// .pt file; of an aggregate a list of them, and `aggregate` says which. `images` are float32 [n, c, h, w] in [0, 1] and
/// `labels` integers [n]; `mean` and `std` normalise them where the model does not do it itself. `epsilon` is a number or
/// text: 8/255. Further keyword arguments are the attack's settings, by the names that `robin.attacks()` lists.
///
/// The result of an image depends on its place among the images, the seed and the settings, and on nothing else.
#[pyfunction]
#[pyo3(signature = (model, architecture, images, labels, *, norm = "linf", epsilon, attack = "pgd", loss = None,
    strategy = "softmax", aggregate = None, mean = None, std = None, seed = 0, batch_size = 128, threads = None, **settings))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn attack(
    py: Python<'_>,
    model: &Bound<'_, PyAny>,
    architecture: Option<&str>,
    images: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    norm: &str,
    epsilon: &Bound<'_, PyAny>,
    attack: &str,
    loss: Option<&str>,
    strategy: &str,
    aggregate: Option<&str>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    seed: u64,
    batch_size: usize,
    threads: Option<usize>,
    settings: Option<&Bound<'_, PyDict>>,
) -> PyResult<Found> {
    let request = ModelRequest::new(model, architecture, aggregate, mean, std)?;
    let settings = settings.map(|settings| pythonize::depythonize(settings)).transpose()?.unwrap_or_default();
    let stages = stages(attack, &settings, loss, strategy).map_err(refused)?;
    found(py, request, images, labels, (norm, epsilon), stages, (seed, batch_size, threads))
}

/// Runs several attacks, each on what those before have failed on: `accuracy` is what withstands all of them.
///
/// `attacks` are names of `robin.attacks()`, each with its usual settings; the other arguments are those of `attack`.
#[pyfunction]
#[pyo3(signature = (model, architecture, images, labels, *, norm = "linf", epsilon, attacks = vec!["pgd".to_owned(), "autoattack".to_owned()],
    aggregate = None, mean = None, std = None, seed = 0, batch_size = 128, threads = None))]
#[allow(clippy::too_many_arguments, reason = "Python names them")]
fn evaluate(
    py: Python<'_>,
    model: &Bound<'_, PyAny>,
    architecture: Option<&str>,
    images: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    norm: &str,
    epsilon: &Bound<'_, PyAny>,
    attacks: Vec<String>,
    aggregate: Option<&str>,
    mean: Option<Vec<f32>>,
    std: Option<Vec<f32>>,
    seed: u64,
    batch_size: usize,
    threads: Option<usize>,
) -> PyResult<Found> {
    let request = ModelRequest::new(model, architecture, aggregate, mean, std)?;
    let mut all = Vec::new();
    for name in &attacks {
        all.extend(stages(name, &Default::default(), None, "softmax").map_err(refused)?);
    }
    found(py, request, images, labels, (norm, epsilon), all, (seed, batch_size, threads))
}

/// The attacks that there are: their names, with what each does and its settings.
#[pyfunction]
fn attacks(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for entry in ATTACKS {
        let line = PyDict::new(py);
        line.set_item("summary", entry.summary)?;
        line.set_item("norms", entry.norms.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let settings = serde_json::to_value(entry.example).map_err(refused)?;
        line.set_item("settings", pythonize::pythonize(py, &settings)?)?;
        all.set_item(entry.name, line)?;
    }
    let bundle = PyDict::new(py);
    bundle.set_item("summary", "AutoAttack, version standard: four attacks, each on what the others left")?;
    all.set_item(AUTOATTACK, bundle)?;
    Ok(all)
}

/// The architectures whose state_dicts are read.
#[pyfunction]
fn architectures() -> Vec<&'static str> {
    robin_models::MODELS.iter().map(|entry| entry.name).collect()
}

fn found(
    py: Python<'_>,
    request: ModelRequest,
    images: &Bound<'_, PyAny>,
    labels: &Bound<'_, PyAny>,
    (norm, epsilon): (&str, &Bound<'_, PyAny>),
    stages: Vec<Stage>,
    (seed, batch_size, threads): (u64, usize, Option<usize>),
) -> PyResult<Found> {
    let epsilon: Epsilon = match epsilon.extract::<f64>() {
        Ok(number) => Epsilon::new(number).map_err(refused)?,
        Err(_) => epsilon.extract::<String>()?.parse().map_err(refused)?,
    };
    let budget = Budget { norm: norm.parse().map_err(refused)?, epsilon };
    let images = array(images, "images", ("f", "float32"), 4)?.extract::<PyReadonlyArray4<'_, f32>>()?;
    let labels = array(labels, "labels", ("iu", "int64"), 1)?.extract::<PyReadonlyArray1<'_, i64>>()?;
    let (view, labels) = (images.as_array(), labels.as_array().to_vec());
    let shape = <[usize; 4]>::try_from(view.shape()).expect("an array of four dimensions");
    let job = Job {
        request,
        images: view.iter().copied().collect(),
        shape,
        labels,
        budget,
        stages,
        seed,
        batch_size,
    };
    let done = run::on_threads(py, threads, job)?;
    let images = done.images.into_pyarray(py).reshape(shape)?.unbind();
    let range = interval(&done.misclassified);
    let clean: Vec<bool> = done.misclassified_by.iter().map(|by| by.as_deref() == Some(run::CLEAN)).collect();
    Ok(Found {
        accuracy: accuracy(&done.misclassified),
        interval: (range.low, range.high),
        clean_accuracy: accuracy(&clean),
        images,
        predictions: done.predictions.into_pyarray(py).unbind(),
        clean_predictions: done.clean_predictions.into_pyarray(py).unbind(),
        misclassified: done.misclassified.into_pyarray(py).unbind(),
        misclassified_by: done.misclassified_by,
        warnings: done.warnings,
    })
}

/// What NumPy makes of `value`: of such a kind and so many dimensions, as `kept`.
fn array<'py>(
    value: &Bound<'py, PyAny>,
    what: &str,
    (kinds, kept): (&str, &str),
    dimensions: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let numpy = value.py().import("numpy")?;
    let array = numpy.call_method1("asarray", (detached(value)?,))?;
    let (kind, found): (String, usize) =
        (array.getattr("dtype")?.getattr("kind")?.extract()?, array.getattr("ndim")?.extract()?);
    if found != dimensions || !kinds.contains(&kind) {
        let (dtype, shape) = (array.getattr("dtype")?, array.getattr("shape")?);
        let wanted = if dimensions == 4 { "float32 [n, c, h, w] in [0, 1]" } else { "integers [n]" };
        return Err(PyTypeError::new_err(format!("{what} are {dtype} {shape}; expected {wanted}")));
    }
    numpy.call_method1("ascontiguousarray", (array, kept))
}

/// `value`; a tensor of PyTorch's untracked and on the host, as NumPy wants it.
fn detached<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match value.hasattr("detach")? {
        true => value.call_method0("detach")?.call_method0("cpu"),
        false => Ok(value.clone()),
    }
}

/// An error and its causes, as Python's.
fn refused(error: impl std::error::Error) -> PyErr {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    PyValueError::new_err(text)
}

/// How robust is an image classifier? Attacks on NumPy arrays, fast on processors.
#[pymodule]
fn robin(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Found>()?;
    module.add_function(wrap_pyfunction!(attack, module)?)?;
    module.add_function(wrap_pyfunction!(evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(attacks, module)?)?;
    module.add_function(wrap_pyfunction!(architectures, module)?)
}
