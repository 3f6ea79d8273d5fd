//! A network's numbers: ordered, named and shaped as in PyTorch, on the host.

use robin_core::{Purpose, Seed};
use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::graph::{Initial, TensorSpec};
use crate::{Error, Graph, Result};

/// Trained tensors and buffers of one network, each in layer order.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// What the optimiser moves.
    pub trained: Vec<NamedTensor>,
    /// What is stored with them and never trained.
    pub buffers: Vec<NamedTensor>,
}

/// A tensor with PyTorch's name, shape and order of values.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Its key in the `state_dict`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<f32>,
}

impl Parameters {
    /// Fresh parameters, distributed as PyTorch initialises them. Each tensor has a random stream of its own.
    pub fn initialise(graph: &Graph, seed: Seed) -> Self {
        let mut parameters = Self { trained: Vec::new(), buffers: Vec::new() };
        for (index, TensorSpec { name, shape, initial }) in graph.tensors().into_iter().enumerate() {
            let count = shape.iter().product();
            let mut stream = seed.derive(Purpose::Initialisation, index as u64).root_stream();
            let values = match initial {
                Initial::Uniform { fan_in } => {
                    let bound = 1.0 / (fan_in as f32).sqrt();
                    (0..count).map(|_| bound * stream.symmetric()).collect()
                }
                Initial::Normal { std } => (0..count).map(|_| std * stream.gaussian() as f32).collect(),
                Initial::Constant(value) | Initial::Buffer(value) => vec![value; count],
            };
            parameters.of_kind(initial).push(NamedTensor { name, shape, values });
        }
        parameters
    }

    /// The list that a tensor which begins as `initial` belongs to.
    fn of_kind(&mut self, initial: Initial) -> &mut Vec<NamedTensor> {
        match initial {
            Initial::Uniform { .. } | Initial::Normal { .. } | Initial::Constant(_) => &mut self.trained,
            Initial::Buffer(_) => &mut self.buffers,
        }
    }

    /// The tensor called `name`, trained or buffer.
    pub fn get(&self, name: &str) -> Option<&NamedTensor> {
        self.trained.iter().chain(&self.buffers).find(|tensor| tensor.name == name)
    }

    /// The bytes of a safetensors file with PyTorch's names; the same parameters give the same bytes.
    ///
    /// # Errors
    /// [`Error::Safetensors`] if the format cannot hold them.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let fault = |source| Error::Safetensors { file: "weights in memory".to_owned(), source };
        let bytes: Vec<(&NamedTensor, Vec<u8>)> = self
            .trained
            .iter()
            .chain(&self.buffers)
            .map(|tensor| (tensor, tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let views = bytes
            .iter()
            .map(|(tensor, bytes)| {
                let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)?;
                Ok((tensor.name.as_str(), view))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(fault)?;
        serialize(views, None).map_err(fault)
    }

    /// Reads the parameters of `graph` from a safetensors file's `bytes`; `file` names it in messages.
    /// PyTorch's counters `*.num_batches_tracked` are accepted and ignored.
    ///
    /// # Errors
    /// [`Error::Safetensors`] if the bytes are no such file, or one that names a tensor twice; [`Error::Weights`] lists every tensor that is
    /// missing, too many, not f32 or of another shape.
    pub fn from_safetensors(graph: &Graph, bytes: &[u8], file: &str) -> Result<Self> {
        Self::from_safetensors_with(graph, bytes, file, &[])
    }

    /// As [`Parameters::from_safetensors`], but what the file lacks is taken from `supplied`: a file from
    /// elsewhere has no normalisation of its own.
    ///
    /// # Errors
    /// As [`Parameters::from_safetensors`].
    pub fn from_safetensors_with(
        graph: &Graph,
        bytes: &[u8],
        file: &str,
        supplied: &[NamedTensor],
    ) -> Result<Self> {
        let found = robin_files::tensors::open(bytes)
            .map_err(|source| Error::Safetensors { file: file.to_owned(), source })?;
        let specs = graph.tensors();
        let mut parameters = Self { trained: Vec::new(), buffers: Vec::new() };
        let mut faults = Vec::new();
        for TensorSpec { name, shape, initial } in &specs {
            let view = match found.tensor(name) {
                Ok(view) => view,
                Err(_) => {
                    match supplied.iter().find(|tensor| tensor.name == *name && tensor.shape == *shape) {
                        Some(tensor) => parameters.of_kind(*initial).push(tensor.clone()),
                        None => faults.push(format!("{name} {shape:?} is missing")),
                    }
                    continue;
                }
            };
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                faults.push(format!(
                    "{name} is {:?} {:?}, expected F32 {shape:?}",
                    view.dtype(),
                    view.shape()
                ));
                continue;
            }
            let (chunks, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if let Some((at, allowed)) = impossible(name, &values) {
                faults.push(format!("{name}[{at}] is {}, allowed is {allowed}", values[at]));
            }
            let tensor = NamedTensor { name: name.clone(), shape: shape.clone(), values };
            parameters.of_kind(*initial).push(tensor);
        }
        let mut extra: Vec<&str> = found.names().into_iter().collect();
        extra.sort_unstable();
        extra.retain(|name| !name.ends_with("num_batches_tracked") && !specs.iter().any(|s| s.name == *name));
        faults.extend(extra.into_iter().map(|name| format!("{name} is not part of it")));
        if faults.is_empty() {
            Ok(parameters)
        } else {
            Err(Error::Weights { file: file.to_owned(), graph: graph.name().to_owned(), faults })
        }
    }
}

/// The first value that a tensor of this name cannot have, and what it may be: it would make every score NaN, or turn
/// images around without a word.
fn impossible(name: &str, values: &[f32]) -> Option<(usize, &'static str)> {
    let first = |legal: fn(f32) -> bool, allowed| {
        values.iter().position(|&value| !legal(value)).map(|at| (at, allowed))
    };
    match name.rsplit('.').next() {
        Some("std") => first(|value| value.is_finite() && value > 0.0, "a deviation > 0"),
        Some("running_var") => first(|value| value.is_finite() && value >= 0.0, "a variance >= 0"),
        _ => first(f32::is_finite, "a finite number"),
    }
}

/// Names and shapes of the tensors in a safetensors file's `bytes`, sorted by name; `file` names it in
/// messages.
///
/// # Errors
/// [`Error::Safetensors`] if the bytes are no such file.
pub fn tensor_shapes(bytes: &[u8], file: &str) -> Result<Vec<(String, Vec<usize>)>> {
    let found = robin_files::tensors::open(bytes)
        .map_err(|source| Error::Safetensors { file: file.to_owned(), source })?;
    let mut shapes: Vec<(String, Vec<usize>)> =
        found.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    shapes.sort();
    Ok(shapes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bias, Convolution, Initialisation};
    use approx::assert_abs_diff_eq;

    fn graph(outputs: usize) -> Graph {
        Graph::builder("toy", [1, 2, 2])
            .normalize("normalize")
            .flatten()
            .linear("fc1", 300)
            .relu()
            .linear("fc2", outputs)
            .build()
            .unwrap()
    }

    #[test]
    fn a_file_gives_back_the_same_parameters_and_bytes() {
        let graph = graph(3);
        let parameters = Parameters::initialise(&graph, Seed::new(1));
        let bytes = parameters.to_safetensors().unwrap();
        let read = Parameters::from_safetensors(&graph, &bytes, "toy").unwrap();
        assert_eq!(read, parameters);
        assert_eq!(read.to_safetensors().unwrap(), bytes);
    }

    #[test]
    fn initial_values_fill_pytorchs_range_evenly() {
        let parameters = Parameters::initialise(&graph(3), Seed::new(1));
        let weight = parameters.get("fc2.weight").unwrap();
        let bound = 1.0 / 300.0_f32.sqrt();
        assert!(weight.values.iter().all(|v| v.abs() <= bound));
        // Uniform: variance bound^2 / 3; 900 values, so 5 standard errors are about 15%.
        let variance = weight.values.iter().map(|v| v * v).sum::<f32>() / weight.values.len() as f32;
        assert_abs_diff_eq!(variance / (bound * bound / 3.0), 1.0, epsilon = 0.15);
        let other = Parameters::initialise(&graph(3), Seed::new(2));
        assert_ne!(parameters.trained, other.trained);
        assert_eq!(parameters.get("normalize.std").unwrap().values, [1.0]);
    }

    #[test]
    fn wide_resnets_begin_normal_with_variance_two_over_fan_out() {
        let conv = Convolution { channels: 50, kernel: 3, stride: 1, padding: 1, bias: Bias::None };
        let graph = Graph::builder("wide", [20, 4, 4]).initialisation(Initialisation::HeFanOut);
        let graph = graph.conv2d("conv", conv).batch_norm2d("bn").flatten().linear("fc", 2).build().unwrap();
        let parameters = Parameters::initialise(&graph, Seed::new(1));
        let weight = &parameters.get("conv.weight").unwrap().values;
        let moment = |power| weight.iter().map(|v| v.powi(power)).sum::<f32>() / weight.len() as f32;
        // 9000 values, so 5 standard errors of the variance are about 8%, of the kurtosis (3) about 0.3.
        let variance = moment(2);
        assert_abs_diff_eq!(variance / (2.0 / 450.0), 1.0, epsilon = 0.08);
        assert_abs_diff_eq!(moment(4) / variance.powi(2), 3.0, epsilon = 0.3);
        assert_eq!(parameters.get("fc.bias").unwrap().values, [0.0; 2]);
        assert_eq!(parameters.get("bn.weight").unwrap().values, [1.0; 50]);
        let buffers: Vec<&str> = parameters.buffers.iter().map(|buffer| buffer.name.as_str()).collect();
        assert_eq!(buffers, ["bn.running_mean", "bn.running_var"]);
    }

    #[test]
    fn pytorchs_counters_are_accepted_and_ignored() {
        let graph = Graph::builder("toy", [1, 2, 2]).batch_norm2d("bn").flatten().linear("fc", 2);
        let graph = graph.build().unwrap();
        let parameters = Parameters::initialise(&graph, Seed::new(1));
        let count = 7_i64.to_le_bytes();
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
            .trained
            .iter()
            .chain(&parameters.buffers)
            .map(|t| {
                (t.name.clone(), t.shape.clone(), t.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            })
            .collect();
        let mut views = Vec::new();
        for (name, shape, bytes) in &bytes {
            views.push((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        }
        let counter = TensorView::new(Dtype::I64, vec![], &count).unwrap();
        views.push(("bn.num_batches_tracked".to_owned(), counter));
        let file = serialize(views, None).unwrap();
        assert_eq!(Parameters::from_safetensors(&graph, &file, "torch").unwrap(), parameters);
    }

    #[test]
    fn every_fault_of_a_foreign_file_is_listed() {
        let other = Graph::builder("other", [1, 2, 2]).flatten().linear("fc1", 300).relu().linear("out", 3);
        let bytes = Parameters::initialise(&other.build().unwrap(), Seed::new(1)).to_safetensors().unwrap();
        let message = Parameters::from_safetensors(&graph(4), &bytes, "foreign").unwrap_err().to_string();
        for part in [
            "foreign",
            "normalize.mean [1] is missing",
            "fc2.weight [4, 300] is missing",
            "out.bias is not part",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let bytes = Parameters::initialise(&graph(3), Seed::new(1)).to_safetensors().unwrap();
        let message = Parameters::from_safetensors(&graph(4), &bytes, "foreign").unwrap_err().to_string();
        assert!(message.contains("fc2.bias is F32 [3], expected F32 [4]"), "{message}");
        let cut = Parameters::from_safetensors(&graph(3), &bytes[..bytes.len() - 1], "cut.safetensors");
        assert!(cut.unwrap_err().to_string().contains("cut.safetensors"));
    }

    #[test]
    fn what_a_file_lacks_can_be_supplied() {
        let whole = Parameters::initialise(&graph(3), Seed::new(1));
        let bare = Parameters { trained: whole.trained.clone(), buffers: Vec::new() };
        let bytes = bare.to_safetensors().unwrap();
        assert!(Parameters::from_safetensors(&graph(3), &bytes, "bare").is_err());
        let read = Parameters::from_safetensors_with(&graph(3), &bytes, "bare", &whole.buffers).unwrap();
        assert_eq!(read, whole);
        let shapes = tensor_shapes(&bytes, "bare").unwrap();
        assert!(shapes.contains(&("fc2.weight".to_owned(), vec![3, 300])), "{shapes:?}");
        assert!(tensor_shapes(&bytes[..4], "bare").is_err());
    }

    #[test]
    fn a_tensor_that_stands_there_twice_is_refused() {
        let parameters = Parameters::initialise(&graph(3), Seed::new(1));
        let bytes = parameters.to_safetensors().unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        // The same bytes under one name, said twice: which of two wishes a reader takes is its own affair.
        let fields: serde_json::Value = serde_json::from_str(header).unwrap();
        let twice = header.trim_end().replacen('{', &format!("{{\"fc1.bias\":{},", fields["fc1.bias"]), 1);
        let file = [&(twice.len() as u64).to_le_bytes(), twice.as_bytes(), &bytes[8 + length..]].concat();
        let error = Parameters::from_safetensors(&graph(3), &file, "twice.safetensors").unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("\"fc1.bias\" stands there twice"), "{source}");
        assert!(tensor_shapes(&file, "twice").is_err());
    }

    #[test]
    fn deviations_and_variances_that_cannot_be_are_refused() {
        let graph = Graph::builder("toy", [1, 2, 2]).normalize("normalize").batch_norm2d("bn").flatten();
        let graph = graph.linear("fc", 2).build().unwrap();
        for (name, value, allowed) in [
            ("normalize.std", -1.0, "a deviation > 0"),
            ("normalize.std", 0.0, "a deviation > 0"),
            ("normalize.std", f32::NAN, "a deviation > 0"),
            ("normalize.mean", f32::INFINITY, "a finite number"),
            ("bn.running_var", -1e-3, "a variance >= 0"),
        ] {
            let mut parameters = Parameters::initialise(&graph, Seed::new(1));
            let buffer = parameters.buffers.iter_mut().find(|buffer| buffer.name == name).unwrap();
            buffer.values[0] = value;
            let bytes = parameters.to_safetensors().unwrap();
            let message = Parameters::from_safetensors(&graph, &bytes, "w").unwrap_err().to_string();
            assert!(message.contains(&format!("{name}[0] is {value}, allowed is {allowed}")), "{message}");
        }
    }

    #[test]
    fn a_weight_that_is_no_number_is_refused() {
        let mut parameters = Parameters::initialise(&graph(3), Seed::new(1));
        parameters.trained[0].values[5] = f32::NAN;
        let bytes = parameters.to_safetensors().unwrap();
        let message = Parameters::from_safetensors(&graph(3), &bytes, "nan").unwrap_err().to_string();
        assert!(message.contains("fc1.weight[5] is NaN"), "{message}");
    }
}
