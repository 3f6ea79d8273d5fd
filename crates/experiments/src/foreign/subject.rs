//! Weights in files become the classifier that is attacked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use robin_aggregation::Aggregation;
use robin_core::Classifier;
use robin_data::DatasetName;
use robin_nn::{Graph, NamedTensor, Parameters};
use serde::Serialize;

use super::external;
use super::precise::Precise;
use crate::key::sha256;
use crate::{Device, Error, Result};

/// Which classifier.
#[derive(Debug, Clone)]
pub struct SubjectRequest {
    /// The architecture by its name, of every network of an aggregate; or the path of an ONNX model (`.onnx`).
    pub model: String,
    /// Weights, one file per network, in the aggregate's order: safetensors, or PyTorch's (`.pt`, `.pth`). None for an
    /// ONNX model, which has its own.
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

/// Input normalisation for weights that carry none.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalize {
    /// The usual numbers of the data set.
    Dataset,
    /// Pixels as they are.
    None,
    /// Means, then deviations: one of each, or one of each per channel.
    Numbers(Vec<f32>),
}

/// What the field uses for CIFAR-10, and what networks trained here have.
const CIFAR10: ([f32; 3], [f32; 3]) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]);

impl Normalize {
    /// The buffers `normalize.mean` and `normalize.std` for `channels` channels of `dataset`.
    pub(super) fn buffers(&self, channels: usize, dataset: Option<DatasetName>) -> Result<Vec<NamedTensor>> {
        let (mean, std) = match self {
            Self::None => (vec![0.0; channels], vec![1.0; channels]),
            Self::Dataset => match dataset {
                Some(DatasetName::Cifar10) => (CIFAR10.0.to_vec(), CIFAR10.1.to_vec()),
                Some(DatasetName::Mnist) => (vec![0.0; channels], vec![1.0; channels]),
                None => {
                    return Err(Error::Unfit {
                        option: "--normalize",
                        given: "dataset".to_owned(),
                        reason: "only mnist and cifar10 have usual numbers; allowed: none, MEAN,STD"
                            .to_owned(),
                    });
                }
            },
            Self::Numbers(numbers) if numbers.len() == 2 => {
                (vec![numbers[0]; channels], vec![numbers[1]; channels])
            }
            Self::Numbers(numbers) if numbers.len() == 2 * channels => {
                (numbers[..channels].to_vec(), numbers[channels..].to_vec())
            }
            Self::Numbers(numbers) => {
                return Err(Error::Unfit {
                    option: "--normalize",
                    given: self.to_string(),
                    reason: format!(
                        "{} numbers; allowed: 2, or {} ({channels} means, then {channels} deviations)",
                        numbers.len(),
                        2 * channels
                    ),
                });
            }
        };
        let tensor =
            |name: &str, values| NamedTensor { name: name.to_owned(), shape: vec![channels], values };
        Ok(vec![tensor("normalize.mean", mean), tensor("normalize.std", std)])
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset => f.pad("dataset"),
            Self::None => f.pad("none"),
            Self::Numbers(numbers) => {
                f.pad(&numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl FromStr for Normalize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers =
            || text.split(',').map(|part| part.trim().parse::<f32>().ok()).collect::<Option<Vec<_>>>();
        match text {
            "dataset" => Ok(Self::Dataset),
            "none" => Ok(Self::None),
            _ => match numbers() {
                Some(numbers)
                    if numbers.len().is_multiple_of(2)
                        && numbers.iter().all(|n| n.is_finite())
                        && numbers[numbers.len() / 2..].iter().all(|&std| std > 0.0) =>
                {
                    Ok(Self::Numbers(numbers))
                }
                _ => Err(Error::Unfit {
                    option: "--normalize",
                    given: text.to_owned(),
                    reason: "allowed: dataset, none, or MEAN,STD with finite means and deviations > 0"
                        .to_owned(),
                }),
            },
        }
    }
}

/// The classifier that was asked for.
pub struct Subject {
    /// To be attacked.
    pub classifier: Box<dyn Classifier>,
    /// How its networks are joined.
    pub aggregate: Option<Aggregation>,
    /// What it is, for reports.
    pub description: Description,
    /// The same in f64, where there is such a thing.
    pub(super) precise: Option<Precise>,
}

/// What a classifier is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The architecture.
    pub model: String,
    /// Channels of the first convolution, per network.
    pub widths: Vec<usize>,
    /// How the networks are joined; `None` for a single one.
    pub aggregate: Option<String>,
    /// SHA-256 of each weights file.
    pub weights_sha256: Vec<String>,
    /// Numbers supplied for weights without a normalisation.
    pub normalize: Option<String>,
    /// What does the arithmetic.
    pub device: String,
}

impl Subject {
    /// Reads the weights and builds the classifier for images `shape` `[c, h, w]` of `classes` classes.
    ///
    /// # Errors
    /// [`Error::Unfit`] for options that do not fit together, [`Error::Io`] for a file, [`Error::Work`] for
    /// weights of another architecture, listing every tensor that does not fit.
    pub fn load(
        request: &SubjectRequest,
        shape: [usize; 3],
        classes: usize,
        dataset: Option<DatasetName>,
    ) -> Result<Self> {
        let Networks { plain, description } = Networks::read(request, shape, dataset)?;
        let mut networks = classifiers(&plain, request.device)?;
        let classifier = match request.aggregate {
            Some(aggregate) => aggregate.build(networks).map_err(Error::work("joining the networks"))?,
            None => networks.pop().expect("there is one file"),
        };
        if classifier.num_classes() != classes {
            return Err(Error::Unfit {
                option: "--weights",
                given: format!("(a classifier of {} classes)", classifier.num_classes()),
                reason: format!("the data set has {classes}"),
            });
        }
        let precise = Precise::new(plain, request.aggregate);
        Ok(Self { classifier, aggregate: request.aggregate, description, precise })
    }
}

/// The networks one by one, before they are joined.
pub(super) struct Networks {
    /// Architecture and parameters.
    pub(super) plain: Vec<(Graph, Parameters)>,
    /// What they are, for reports.
    pub(super) description: Description,
}

/// The networks as an attacker meets them.
pub(super) fn classifiers(
    networks: &[(Graph, Parameters)],
    device: Device,
) -> Result<Vec<Box<dyn Classifier>>> {
    let prepare = |(graph, parameters): &(Graph, Parameters)| {
        device.executor().classifier(graph, parameters).map_err(Error::work("preparing the network"))
    };
    networks.iter().map(prepare).collect()
}

impl Networks {
    /// Reads the weights for images `shape` `[c, h, w]`.
    ///
    /// # Errors
    /// As [`Subject::load`].
    pub(super) fn read(
        request: &SubjectRequest,
        shape: [usize; 3],
        dataset: Option<DatasetName>,
    ) -> Result<Self> {
        let SubjectRequest { model, weights, width, normalize, aggregate, device } = request;
        if external::is_model(model) {
            return external::model(request, shape, dataset);
        }
        if weights.is_empty() || aggregate.is_none() && weights.len() != 1 {
            return Err(Error::Unfit {
                option: "--weights",
                given: format!("({} files)", weights.len()),
                reason:
                    "a single network has one file; several need --aggregate, and an ONNX model needs none"
                        .to_owned(),
            });
        }
        let supplied =
            normalize.as_ref().map(|n| n.buffers(shape[0], dataset)).transpose()?.unwrap_or_default();
        let mut plain = Vec::new();
        let mut description = Description {
            model: model.clone(),
            widths: Vec::new(),
            aggregate: aggregate.map(|aggregate| aggregate.to_string()),
            weights_sha256: Vec::new(),
            normalize: normalize.as_ref().map(ToString::to_string),
            device: device.to_string(),
        };
        for path in weights {
            let bytes = std::fs::read(path).map_err(Error::io(path, "read the weights"))?;
            let file = path.display().to_string();
            if external::is_state_dict(path) {
                let (graph, parameters, found) =
                    external::state_dict(request, &supplied, shape, &bytes, &file)?;
                check_width(*width, found, &file)?;
                description.widths.push(found);
                description.weights_sha256.push(sha256(&bytes));
                plain.push((graph, parameters));
                continue;
            }
            let sizes = Sizes::of(model, shape, &bytes, &file)?;
            check_width(*width, sizes.width, &file)?;
            let width = sizes.width;
            let graph = robin_models::build(model, Some(width), shape, sizes.outputs)
                .map_err(Error::work("building the model"))?;
            check_normalization(normalize.as_ref(), sizes.normalized, &file)?;
            let parameters = Parameters::from_safetensors_with(&graph, &bytes, &file, &supplied)
                .map_err(Error::work("reading the weights"))?;
            description.widths.push(width);
            description.weights_sha256.push(sha256(&bytes));
            plain.push((graph, parameters));
        }
        Ok(Self { plain, description })
    }
}

/// Checks that images are normalised once: by the network in `file`, or as `normalize` says.
pub(super) fn check_normalization(normalize: Option<&Normalize>, normalized: bool, file: &str) -> Result<()> {
    match (normalize, normalized) {
        (Some(given), true) => Err(Error::Unfit {
            option: "--normalize",
            given: given.to_string(),
            reason: format!("{file} has a normalisation of its own; leave the option out"),
        }),
        (None, false) => Err(Error::Unfit {
            option: "--normalize",
            given: "(nothing)".to_owned(),
            reason: format!(
                "{file} has no normalize.mean and normalize.std; say how its network normalises images: dataset, \
                 none, or MEAN,STD"
            ),
        }),
        _ => Ok(()),
    }
}

/// Checks that the width that was given, if any, is that of the weights in `file`.
fn check_width(given: Option<usize>, found: usize, file: &str) -> Result<()> {
    match given {
        Some(given) if given != found => Err(Error::Unfit {
            option: "--width",
            given: given.to_string(),
            reason: format!("{file} has width {found}; leave the option out"),
        }),
        _ => Ok(()),
    }
}

/// What a weights file says about its network.
struct Sizes {
    width: usize,
    outputs: usize,
    normalized: bool,
}

impl Sizes {
    fn of(model: &str, shape: [usize; 3], bytes: &[u8], file: &str) -> Result<Self> {
        let shapes = robin_nn::tensor_shapes(bytes, file).map_err(Error::work("reading the weights"))?;
        let find = |name: &str| shapes.iter().find(|(found, _)| found == name).map(|(_, shape)| shape);
        // The architecture at its own width says which tensors tell the sizes: the first layer's has the width, the
        // last layer's the outputs.
        let usual: Graph = robin_models::build(model, None, shape, 2).map_err(|error| match error {
            robin_models::Error::Unknown { name, valid } => {
                Error::Unknown { what: "model", given: name, valid: valid.join(", ") }
            }
            other => Error::work("building the model")(other),
        })?;
        let tensors = usual.tensors();
        let first = tensors.iter().find(|tensor| tensor.shape.len() >= 2);
        let last = tensors.iter().rev().find(|tensor| tensor.shape.len() == 2);
        let (Some(first), Some(last)) = (first, last) else {
            let reason = format!("{model} has no layer to read the width from").into();
            return Err(Error::Work { doing: "reading the width", source: reason });
        };
        let size = |name: &str| match find(name).and_then(|shape| shape.first()) {
            Some(&size) => Ok(size),
            None => {
                let there: Vec<String> =
                    shapes.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
                let reason = format!(
                    "{file}: {name} is missing, so this is no {model} (there are: {})",
                    there.join(", ")
                );
                Err(Error::Work { doing: "reading the weights", source: reason.into() })
            }
        };
        Ok(Self {
            width: size(&first.name)?,
            outputs: size(&last.name)?,
            normalized: find("normalize.mean").is_some() && find("normalize.std").is_some(),
        })
    }
}
