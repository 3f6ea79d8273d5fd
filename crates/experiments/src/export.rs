//! Trained weights for PyTorch: a `state_dict` under its own names, and logits to compare.
//!
//! `fixtures/pytorch/load_state_dict.py` loads the file into the same architecture there.

use std::path::Path;

use robin_core::ExampleId;
use robin_data::{Dataset, LabelMap};
use robin_nn::{Graph, Parameters};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};

use crate::role::Role;
use crate::{Device, Error, Result};

/// The architecture `model` in the sizes that the weights `bytes` have: width and number of classes are read from
/// them, for images of `height` x `width`. `file` is for messages.
///
/// # Errors
/// [`Error::Option`] for an unknown model, or sizes that the architecture cannot have; [`Error::Work`] if the bytes
/// are no weights of it, listing every tensor that is missing, too many or of another shape.
pub fn load(
    model: &str,
    bytes: &[u8],
    [height, width]: [usize; 2],
    file: &str,
) -> Result<(Graph, Parameters)> {
    let refuse = |error: robin_models::Error| Error::Option {
        option: "--model",
        value: model.to_owned(),
        allowed: error.to_string(),
    };
    let entry = robin_models::find(model).map_err(refuse)?;
    let found = robin_files::tensors::open(bytes).map_err(Error::work("reading the weights"))?;
    // Both ends of the network tell its sizes; what lies between is checked below.
    let plain = robin_models::build(model, None, [3, height, width], 10).map_err(refuse)?;
    let tensors = plain.tensors();
    let first = tensors
        .iter()
        .find(|tensor| tensor.shape.len() >= 2)
        .expect("every architecture has a layer of weights");
    let last = tensors.iter().rfind(|tensor| tensor.shape.len() == 2);
    let last = last.expect("every architecture ends with a linear layer");
    let dimension = |name: &str, at: usize| {
        let shape = found.tensor(name).ok().map(|tensor| tensor.shape().to_vec());
        shape.as_ref().and_then(|shape| shape.get(at).copied()).filter(|size| *size > 0).ok_or_else(|| {
            let allowed = format!("an architecture that has these weights: {file} has no {name}");
            Error::Option { option: "--model", value: model.to_owned(), allowed }
        })
    };
    // A first layer that is no convolution sees all pixels of all channels at once.
    let pixels = if first.shape.len() == 2 { height * width } else { 1 };
    let channels = dimension(&first.name, 1)? / pixels;
    let outputs = dimension(&last.name, 0)?;
    let own_width = dimension(&first.name, 0)? * entry.default_width / first.shape[0];
    let graph =
        robin_models::build(model, Some(own_width), [channels, height, width], outputs).map_err(refuse)?;
    let parameters =
        Parameters::from_safetensors(&graph, bytes, file).map_err(Error::work("reading the weights"))?;
    Ok((graph, parameters))
}

/// The bytes of a safetensors file that PyTorch's `load_state_dict` takes as it is (strict): with the counters
/// `num_batches_tracked` that its batch norms have, at 0, and no other change.
///
/// # Errors
/// [`Error::Work`] if the format cannot hold them.
pub fn state_dict(parameters: &Parameters) -> Result<Vec<u8>> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for tensor in parameters.trained.iter().chain(&parameters.buffers) {
        let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((tensor.name.clone(), Dtype::F32, tensor.shape.clone(), bytes));
        if let Some(layer) = tensor.name.strip_suffix("running_var") {
            tensors.push((format!("{layer}num_batches_tracked"), Dtype::I64, Vec::new(), vec![0; 8]));
        }
    }
    to_file(&tensors)
}

/// The file `exported` with what the weights `bytes` that it was made of say about their network, if they do; `model` and
/// `file` are theirs, for messages.
///
/// # Errors
/// As [`Role::read`]; [`Error::Option`] if the weights say that they are of another architecture.
pub fn with_role_of(bytes: &[u8], model: &str, file: &str, exported: &[u8]) -> Result<Vec<u8>> {
    match Role::read(bytes, file)? {
        Some(role) if role.model != model => Err(Error::Option {
            option: "--model",
            value: model.to_owned(),
            allowed: format!("{}: {file} says that it is {} of that architecture", role.model, role.what()),
        }),
        Some(role) => role.written_into(exported),
        None => Ok(exported.to_vec()),
    }
}

/// `images` (f32 `[n, c, h, w]`, the first `count` of `data`) and the network's `logits` on them (f32 `[n, k]`, in
/// evaluation mode) as the bytes of a safetensors file.
///
/// # Errors
/// [`Error::Work`] if the data has fewer images or other shapes than the network takes.
pub fn logits(
    graph: &Graph,
    parameters: &Parameters,
    data: &Dataset,
    count: usize,
    device: Device,
) -> Result<Vec<u8>> {
    let doing = "computing logits";
    data.take(count).map_err(Error::work(doing))?;
    let ids: Vec<ExampleId> = (0..count as u32).map(ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity).map_err(Error::work(doing))?;
    let model = device.executor().classifier(graph, parameters).map_err(Error::work(doing))?;
    let scores = model.scores(&batch.images, &robin_core::Columns::All).map_err(Error::work(doing))?;
    let bytes = |tensor: &candle_core::Tensor| -> Result<Vec<u8>> {
        let values = robin_core::host::to_vec(tensor).map_err(Error::work(doing))?;
        Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    };
    to_file(&[
        ("images".to_owned(), Dtype::F32, batch.images.dims().to_vec(), bytes(&batch.images)?),
        ("logits".to_owned(), Dtype::F32, scores.tensor().dims().to_vec(), bytes(scores.tensor())?),
    ])
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`Error::Io`] naming it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    crate::out::write(path, bytes)
}

fn to_file(tensors: &[(String, Dtype, Vec<usize>, Vec<u8>)]) -> Result<Vec<u8>> {
    let doing = "writing the state_dict";
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(Error::work(doing))?;
    serialize(views, None).map_err(Error::work(doing))
}

#[cfg(test)]
mod tests {
    use robin_core::Seed;
    use robin_data::{DatasetName, Source, Split};

    use super::*;

    fn weights(model: &str, width: usize, input: [usize; 3], outputs: usize) -> Vec<u8> {
        let graph = robin_models::build(model, Some(width), input, outputs).unwrap();
        Parameters::initialise(&graph, Seed::new(1)).to_safetensors().unwrap()
    }

    #[test]
    fn sizes_are_read_from_the_weights_of_every_model() {
        for entry in robin_models::MODELS {
            let (side, channels) = if entry.name.starts_with("cnn2") { (28, 1) } else { (32, 3) };
            let width = entry.width_step;
            let bytes = weights(entry.name, width, [channels, side, side], 7);
            let (graph, parameters) = load(entry.name, &bytes, [side, side], "w").unwrap();
            assert_eq!(
                (graph.num_outputs(), graph.input_shape()),
                (7, [channels, side, side]),
                "{}",
                entry.name
            );
            // Read back from the exported file, counters and all, nothing has changed.
            let exported = state_dict(&parameters).unwrap();
            assert_eq!(load(entry.name, &exported, [side, side], "w").unwrap().1, parameters);
        }
    }

    #[test]
    fn weights_of_another_architecture_are_refused_by_name() {
        let bytes = weights("cnn2-small", 4, [1, 28, 28], 10);
        let message = |model, side| load(model, &bytes, [side, side], "w.safetensors").unwrap_err();
        let text = |error: Error| {
            format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        };
        assert!(text(message("resnet18", 32)).contains("w.safetensors has no linear.weight"));
        let found = text(message("cnn2", 28));
        assert!(found.contains("conv1.weight") && found.contains("expected"), "{found}");
        assert!(text(message("resnet19", 32)).contains("one of: cnn2"));
        assert!(load("cnn2", &bytes[..100], [28, 28], "w").is_err());
    }

    #[test]
    fn logits_are_those_of_the_first_images() {
        let bytes = weights("cnn2-small", 4, [1, 28, 28], 10);
        let (graph, parameters) = load("cnn2-small", &bytes, [28, 28], "w").unwrap();
        let data = Dataset::load(DatasetName::Mnist, Split::Test, &Source::Embedded).unwrap();
        let device: Device = "cpu".parse().unwrap();
        let file = logits(&graph, &parameters, &data, 3, device).unwrap();
        let tensors = robin_files::tensors::open(&file).unwrap();
        assert_eq!(tensors.tensor("images").unwrap().shape(), [3, 1, 28, 28]);
        assert_eq!(tensors.tensor("logits").unwrap().shape(), [3, 10]);
        let first =
            f32::from_le_bytes(tensors.tensor("images").unwrap().data()[4 * 300..][..4].try_into().unwrap());
        assert_eq!(first, f32::from(data.pixels().unwrap()[300]) / 255.0);
        assert!(logits(&graph, &parameters, &data, 1001, device).is_err());
    }
}
