//! Commands on networks that somebody else trained: `audit`, `attack`, `evaluate`, `predict`, `coherence`,
//! `verify-witnesses`.

pub mod attack;
pub mod audit;
pub mod coherence;
pub mod evaluate;
mod gates;
pub mod predict;
pub mod verify_witnesses;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use robin_aggregation::Aggregation;
use robin_core::CancelToken;
use robin_data::{Choice, Preparation, Split};
use robin_experiments::external_model::{Event, ImagesRequest, ModelRequest, Normalize, RunOptions};

use crate::device::DeviceArguments;
use crate::terminal::{answer, say};

/// Which classifier. Nothing is flattened into it: clap finds an optional group by its own arguments only.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// The architecture of every network by its name, or an ONNX model (net.onnx), which needs no weights.
    #[arg(long, value_name = "NAME|FILE.onnx")]
    model: String,
    /// Weights with PyTorch's names (safetensors, or a state_dict in .pt or .pth); of an aggregate once per network, in
    /// order (arms: class order) unless the files say what they are, as those of `train` and `reproduce` do.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    weights: Vec<PathBuf>,
    /// Channels of the first convolution [default: as the weights say].
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// How the network normalises images, where the file does not say: dataset, none, or MEAN,STD.
    #[arg(long, value_name = "HOW")]
    normalize: Option<Normalize>,
    /// Joins several networks: one-vs-all, one-vs-one, hierarchical:SPLIT, ensemble, mixture, shared-trunk,
    /// merge-binary.
    #[arg(long, value_name = "NAME")]
    aggregate: Option<Aggregation>,
}

/// Which images, and how the work is done.
#[derive(Debug, Args)]
pub(crate) struct ImagesArguments {
    /// The data set: a name (mnist, cifar10...: see `list datasets`), or a path (folders of PNG or JPEG images, one per
    /// class; Parquet as Hugging Face has it; safetensors or npz with images and labels; npy; IDX pair; CIFAR-100 binary).
    #[arg(long, value_name = "NAME|PATH")]
    dataset: Choice,
    /// The half of it: train or test.
    #[arg(long, value_parser = split, default_value = "test")]
    split: Split,
    /// Only the first so many images.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Draw these at random by a seed, instead of the first ones.
    #[arg(long, value_name = "SEED", requires = "limit")]
    sample: Option<u64>,
    /// How many classes there are [default: as the data set says, else one more than the largest label].
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Resize images of folders and Parquet so that the shorter side has so many pixels (bilinear, antialiased).
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    resize: Option<u32>,
    /// Then keep the middle square of so many pixels.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    center_crop: Option<u32>,
    /// Images in arrays are [n, h, w, c]: convert them.
    #[arg(long)]
    channels_last: bool,
    /// The subset inside the program instead of the full set.
    #[arg(long)]
    embedded: bool,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Examples computed together. Results do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch: usize,
    /// Threads that compute [default: one per core]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the result as JSON, and nothing else, on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

fn split(text: &str) -> Result<Split, String> {
    match text {
        "train" => Ok(Split::Train),
        "test" => Ok(Split::Test),
        _ => Err(format!("{text:?} is no split (one of: train, test)")),
    }
}

impl ModelArguments {
    pub(crate) fn request(&self, device: &DeviceArguments) -> anyhow::Result<ModelRequest> {
        Ok(ModelRequest {
            model: self.model.clone(),
            weights: self.weights.clone(),
            width: self.width,
            normalize: self.normalize.clone(),
            aggregate: self.aggregate,
            device: device.device_without_training()?,
        })
    }
}

impl ImagesArguments {
    pub(crate) fn request(&self) -> ImagesRequest {
        ImagesRequest {
            dataset: self.dataset.clone(),
            split: self.split,
            embedded: self.embedded,
            data_dir: self.data_dir.clone(),
            limit: self.limit,
            sample: self.sample,
            classes: self.classes,
            preparation: Preparation {
                resize: self.resize,
                center_crop: self.center_crop,
                channels_last: self.channels_last,
            },
        }
    }

    /// Runs `work` on as many threads as were asked for, and says on standard error how far it is.
    pub(crate) fn with<T: Send>(
        &self,
        cancel: &CancelToken,
        work: impl FnOnce(&RunOptions<'_>) -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let pool = robin_experiments::threads::pool(self.threads)?;
        let run_options = RunOptions { batch_size: self.batch, cancel, on_event: &on_event };
        pool.install(|| work(&run_options))
    }
}

/// One line for what begins and for what was warned of; progress is for the impatient.
fn on_event(event: &Event<'_>) {
    match event {
        Event::Begins(what) | Event::Note(what) => say!("{what}"),
        Event::Progress(progress) => {
            say!("  {} of {}, {} misclassified", progress.done, progress.of, progress.misclassified);
        }
        Event::Warning(what) => say!("WARNING: {what}"),
    }
}

/// Prints `value` as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    answer!("{}", serde_json::to_string_pretty(value).context("cannot write the result as JSON")?)?;
    Ok(())
}
