//! `cargo xtask export`: trained weights for PyTorch.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use robin_data::{Choice, DatasetName, Source, Split};
use robin_experiments::{Error, export};

use crate::data::folder;
use crate::device::DeviceArguments;
use crate::terminal::answer;

/// Which weights, and what to write.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cargo xtask export --model resnet18 --weights results/multiclass.safetensors --out state_dict.safetensors \\\n    \
    --logits logits.safetensors --embedded\n  \
    python fixtures/pytorch/load_state_dict.py resnet18 state_dict.safetensors --logits logits.safetensors \\\n    \
    --out state_dict.pt\n\n\
    Width and classes are read from the weights.")]
pub struct Arguments {
    /// Architecture; a wrong name lists them.
    #[arg(long)]
    model: String,
    /// Its weights, as `train` and `reproduce` write them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The state_dict, a safetensors file; `load_state_dict.py` makes a .pt of it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the network was trained on, a name or a path; says how large images are
    /// [default: mnist for cnn2 and cnn2-small, else cifar10].
    #[arg(long)]
    dataset: Option<Choice>,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR", conflicts_with = "embedded")]
    data_dir: Option<PathBuf>,
    /// The subset inside the program instead of the full data set.
    #[arg(long)]
    embedded: bool,
    /// Also write images and the network's logits on them.
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// How many: the first test images.
    #[arg(long, value_name = "N", default_value_t = 64)]
    images: usize,
    #[command(flatten)]
    device: DeviceArguments,
}

/// Exports.
///
/// # Errors
/// For options that do not fit, weights that cannot be read, and files that cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { model, weights, out, images, .. } = arguments;
    if out.extension().is_none_or(|extension| extension != "safetensors") {
        return Err(Error::Option {
            option: "--out",
            value: out.display().to_string(),
            allowed:
                "a name that ends in .safetensors; fixtures/pytorch/load_state_dict.py makes a .pt of it"
                    .to_owned(),
        }
        .into());
    }
    if arguments.logits.as_ref() == Some(out) {
        return Err(Error::Option {
            option: "--logits",
            value: out.display().to_string(),
            allowed: "another file than that of --out".to_owned(),
        }
        .into());
    }
    let dataset = arguments.dataset.clone().unwrap_or(Choice::Published(match model.starts_with("cnn2") {
        true => DatasetName::Mnist,
        false => DatasetName::Cifar10,
    }));
    let load = || -> anyhow::Result<_> {
        let source = match (arguments.embedded, dataset.published()) {
            (false, Some(_)) => Source::Folder(folder(arguments.data_dir.as_ref())?),
            _ => Source::Embedded,
        };
        dataset.load(Split::Test, &source, None).with_context(|| format!("cannot load data set {dataset}"))
    };
    // A published data set need not be there when no image of it is wanted.
    let data = if arguments.logits.is_some() || dataset.published().is_none() { Some(load()?) } else { None };
    let [_, height, width] = match (&data, dataset.published()) {
        (Some(data), _) => data.shape(),
        (None, Some(name)) => name.shape(),
        (None, None) => unreachable!("images of one's own were loaded"),
    };
    let file = weights.display().to_string();
    let bytes = std::fs::read(weights).with_context(|| format!("cannot read {file}"))?;
    let (graph, parameters) = export::load(model, &bytes, [height, width], &file)?;
    // Both before either is written, so that no file stands beside another export's.
    let mut files =
        vec![(out, export::with_role_of(&bytes, model, &file, &export::state_dict(&parameters)?)?)];
    if let (Some(path), Some(data)) = (&arguments.logits, &data) {
        let device = arguments.device.device_without_training()?;
        files.push((path, export::logits(&graph, &parameters, data, *images, device)?));
    }
    for (path, bytes) in files {
        export::write(path, &bytes)?;
    }
    answer!("{}: {model}, {} outputs, images {:?}", out.display(), graph.num_outputs(), graph.input_shape())?;
    if let (Some(path), Some(data)) = (&arguments.logits, &data) {
        answer!("{}: logits of the first {images} test images of {}", path.display(), data.name())?;
    }
    Ok(())
}
