//! Weights in files become the classifier that is attacked.

use std::path::Path;

use robin_aggregation::Aggregation;
use robin_core::Classifier;
use robin_data::Dataset;
use robin_nn::{Graph, Parameters};

use super::description::{Description, MOST_BYTES, ModelRequest, Networks, check_width};
use super::external;
use super::joined::joined;
use super::normalize::{Numbers, check_normalization, far_better};
use super::precise::Precise;
use super::roles::{File, Wanted};
use super::{Event, Images, RunOptions};
use crate::role::{Role, weights_sha256};
use crate::{Error, Result, caveats};

/// The classifier that was asked for.
pub struct ModelUnderTest {
    /// To be attacked.
    pub classifier: Box<dyn Classifier>,
    /// How its networks are joined.
    pub aggregate: Option<Aggregation>,
    /// What it is, for reports.
    pub description: Description,
    /// Multiply-adds of one image's way through all networks.
    pub multiply_adds: u64,
    /// The same in f64, where there is such a thing.
    pub(super) precise: Option<Precise>,
}

impl ModelUnderTest {
    /// Reads the weights and builds the classifier for `data`, which `images` describes; says what is worth knowing.
    ///
    /// # Errors
    /// [`Error::Unfit`] for options or files that do not fit together, [`Error::Io`] for a file, [`Error::Work`] for
    /// weights of another architecture, listing every tensor that does not fit.
    pub fn load(
        request: &ModelRequest,
        data: &Dataset,
        images: &Images,
        run_options: &RunOptions<'_>,
    ) -> Result<Self> {
        let Networks { plain, description } = Networks::read(request, data, images, run_options)?;
        let classifier = joined(&plain, request.aggregate, request.device)?;
        check_classes(classifier.as_ref(), data)?;
        if let (Some(_), [numbers]) = (&request.normalize, &description.normalization[..]) {
            let device = (request.aggregate, request.device);
            if let Some(better) = far_better(&plain, device, numbers, data, run_options)? {
                (run_options.on_event)(&Event::Warning(&better));
            }
        }
        let multiply_adds = plain.iter().map(|(graph, _)| graph.multiply_adds()).sum();
        let precise = Precise::new(plain, request.aggregate);
        Ok(Self { classifier, aggregate: request.aggregate, description, multiply_adds, precise })
    }
}

/// Refuses a classifier of more or fewer classes than the images have.
pub(super) fn check_classes(classifier: &dyn Classifier, data: &Dataset) -> Result<()> {
    let (own, there) = (classifier.num_classes(), data.num_classes());
    let way_out = match own > there {
        true => format!(" as far as its labels go; if it has more, give --classes {own}"),
        false => String::new(),
    };
    if own == there {
        return Ok(());
    }
    Err(Error::Unfit {
        option: "--weights",
        given: format!("(a classifier of {own} classes)"),
        reason: format!("the data set has {there}{way_out}"),
    })
}

impl Networks {
    /// Reads the weights for `data`, which `images` describes, in the aggregate's order; says what is worth knowing.
    ///
    /// # Errors
    /// As [`ModelUnderTest::load`].
    pub(super) fn read(
        request: &ModelRequest,
        data: &Dataset,
        images: &Images,
        run_options: &RunOptions<'_>,
    ) -> Result<Self> {
        let ModelRequest { model, weights, width, normalize, aggregate, device } = request;
        let shape = data.shape();
        images.warnings.iter().for_each(|warning| (run_options.on_event)(&Event::Warning(warning)));
        if external::is_model(model) {
            let Self { plain, mut description } = external::model(request, shape, images.published)?;
            tell_normalization(&mut description, &[model], run_options);
            return Ok(Self { plain, description });
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
            normalize.as_ref().map(|given| given.numbers(shape[0], images.published)).transpose()?;
        let wanted = Wanted {
            model,
            aggregate: *aggregate,
            shape,
            classes: data.num_classes(),
            dataset: images.published,
        };
        let files = weights.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let (files, warnings) = wanted.arrange(files)?;
        warnings.iter().for_each(|warning| (run_options.on_event)(&Event::Warning(warning)));
        let roles = || files.iter().map(|file| file.role.as_ref().map(Role::what));
        let mut plain: Vec<(Graph, Parameters)> = Vec::new();
        let mut description = Description {
            model: model.clone(),
            widths: Vec::new(),
            aggregate: aggregate.map(|aggregate| aggregate.to_string()),
            weights_sha256: Vec::new(),
            networks: roles().collect::<Option<Vec<_>>>().unwrap_or_default(),
            normalize: normalize.as_ref().map(ToString::to_string),
            normalization: Vec::new(),
            device: device.to_string(),
        };
        let buffers = supplied.as_ref().map(Numbers::buffers);
        let supplied = buffers.as_ref().map_or(&[][..], |buffers| &buffers[..]);
        for File { name: file, bytes, .. } in &files {
            let (graph, parameters, width) = if external::is_state_dict(Path::new(file)) {
                external::state_dict(request, supplied, shape, bytes, file)?
            } else {
                let sizes = Sizes::of(model, shape, bytes, file)?;
                check_width(*width, sizes.width, file)?;
                let graph = robin_models::build(model, Some(sizes.width), shape, sizes.outputs)
                    .map_err(Error::work("building the model"))?;
                check_normalization(normalize.as_ref(), sizes.normalized, file)?;
                let parameters = Parameters::from_safetensors_with(&graph, bytes, file, supplied)
                    .map_err(Error::work("reading the weights"))?;
                (graph, parameters, sizes.width)
            };
            // By their numbers, because the same tensors may stand in files that differ.
            if let Some(twin) = plain.iter().position(|(_, other)| *other == parameters) {
                return Err(Error::Unfit {
                    option: "--weights",
                    given: file.clone(),
                    reason: format!(
                        "it is the same network as {}: one of them stands for another",
                        files[twin].name
                    ),
                });
            }
            description.normalization.extend(Numbers::of(&parameters));
            description.widths.push(width);
            description.weights_sha256.push(weights_sha256(bytes));
            plain.push((graph, parameters));
        }
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        tell_normalization(&mut description, &names, run_options);
        Ok(Self { plain, description })
    }
}

fn read(path: &Path) -> Result<File> {
    let bytes = robin_files::read(path, MOST_BYTES).map_err(Error::io(path, "read the weights"))?;
    let name = path.display().to_string();
    // PyTorch's files have no place for a role.
    let role = if external::is_state_dict(path) { None } else { Role::read(&bytes, &name)? };
    Ok(File { role, name, bytes })
}

/// Says what becomes of the pixels, in numbers, and doubts them; what all networks do alike is kept once.
fn tell_normalization(
    description: &mut Description,
    files: &[impl AsRef<str>],
    run_options: &RunOptions<'_>,
) {
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let source = match &description.normalize {
        Some(given) => format!("--normalize {given}"),
        None => "as the weights say".to_owned(),
    };
    if description.normalization.windows(2).all(|pair| pair[0] == pair[1]) {
        description.normalization.truncate(1);
    }
    for (numbers, file) in description.normalization.iter().zip(files) {
        let which =
            if description.normalization.len() > 1 { format!("{}: ", file.as_ref()) } else { String::new() };
        (run_options.on_event)(&Event::Note(&format!(
            "{which}images are normalised with {numbers} ({source})"
        )));
        if let Err(reason) = caveats::normalisation(&wide(&numbers.mean), &wide(&numbers.std)) {
            (run_options.on_event)(&Event::Warning(&format!("{}: {reason}", file.as_ref())));
        }
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
