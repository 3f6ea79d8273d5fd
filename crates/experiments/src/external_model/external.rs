//! Networks out of other programs' files: ONNX models, which say their own architecture, and PyTorch's weights.

use std::path::Path;

use robin_data::DatasetName;
use robin_import::onnx::Model;
use robin_import::state_dict::StateDict;
use robin_import::{Network, Normalization};
use robin_nn::{Graph, NamedTensor, Parameters};

use super::description::{Description, MOST_BYTES, ModelRequest, Networks, check_width};
use super::normalize::{Numbers, check_normalization};
use crate::key::sha256;
use crate::{Error, Result};

/// Whether `model` is the path of a model and no name.
pub(super) fn is_model(model: &str) -> bool {
    has_extension(Path::new(model), &["onnx"])
}

/// Whether a file of weights is one of PyTorch's.
pub(super) fn is_state_dict(path: &Path) -> bool {
    has_extension(path, &["pt", "pth"])
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|found| known.iter().any(|known| found.eq_ignore_ascii_case(known)))
}

/// The network in the file that `request` names as its model, for images `shape` `[c, h, w]`. Where tensors of it lie in other
/// files, a second digest is that of all parameters.
///
/// # Errors
/// [`Error::Unfit`] for options that are for weights by themselves, [`Error::Work`] for a file that cannot be read or
/// run, with the node's name.
pub(super) fn model(
    request: &ModelRequest,
    shape: [usize; 3],
    dataset: Option<DatasetName>,
) -> Result<Networks> {
    let ModelRequest { model: name, weights, width, normalize, aggregate, device } = request;
    let unfit = [
        ("--weights", (!weights.is_empty()).then(|| format!("({} files)", weights.len()))),
        ("--width", width.map(|width| width.to_string())),
        ("--aggregate", aggregate.map(|aggregate| aggregate.to_string())),
    ];
    for (option, given) in unfit {
        if let Some(given) = given {
            let reason = format!("{name} is one network with weights of its own; leave the option out");
            return Err(Error::Unfit { option, given, reason });
        }
    }
    let path = Path::new(name);
    let bytes = robin_files::read(path, MOST_BYTES).map_err(Error::io(path, "read the model"))?;
    let digest = sha256(&bytes);
    let supplied = normalize.as_ref().map(|given| given.numbers(shape[0], dataset)).transpose()?;
    let supplied = supplied.map(|Numbers { mean, std }| [mean, std]);
    let model = Model::parse(bytes, name, path.parent()).map_err(Error::work("reading the model"))?;
    let read = model.network(Some(shape), supplied.as_ref());
    let Network { graph, parameters, normalizes } = read.map_err(Error::work("reading the model"))?;
    let mut weights_sha256 = vec![digest];
    if model.has_external_data() {
        let parameters = parameters.to_safetensors().map_err(Error::work("reading the model"))?;
        weights_sha256.push(sha256(&parameters));
    }
    check_normalization(normalize.as_ref(), normalizes, name)?;
    let description = Description {
        model: name.clone(),
        widths: Vec::new(),
        aggregate: None,
        weights_sha256,
        networks: Vec::new(),
        normalize: normalize.as_ref().map(ToString::to_string),
        // Of a model that normalises images itself there is no telling which of its layers do.
        normalization: Numbers::of(&parameters).into_iter().collect(),
        device: device.to_string(),
    };
    Ok(Networks { plain: vec![(graph, parameters)], description })
}

/// The architecture `model` with the weights in `bytes`, a file of PyTorch's, and its width.
///
/// # Errors
/// [`Error::Unfit`] for a normalisation too much or too little, [`Error::Work`] for a file of another kind or another
/// network's weights.
pub(super) fn state_dict(
    request: &ModelRequest,
    supplied: &[NamedTensor],
    shape: [usize; 3],
    bytes: &[u8],
    file: &str,
) -> Result<(Graph, Parameters, usize)> {
    let failed = |error| Error::work::<robin_import::Error>("reading the weights")(error);
    let tensors = StateDict::parse(bytes, file).map_err(failed)?;
    check_normalization(request.normalize.as_ref(), tensors.normalizes(), file)?;
    let supplied = normalization(supplied);
    let (network, sizes) = tensors.network(&request.model, shape, supplied.as_ref()).map_err(failed)?;
    check_width(request.width, sizes.width, file)?;
    Ok((network.graph, network.parameters, sizes.width))
}

fn normalization(supplied: &[NamedTensor]) -> Option<Normalization> {
    match supplied {
        [mean, std] => Some([mean.values.clone(), std.values.clone()]),
        _ => None,
    }
}
