//! What can be said about a training.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use robin_attacks::StepSize;
use robin_core::{Epsilon, Norm};
use robin_data::{Choice, Flip, Padding, Sampling, Source, Split};
use robin_experiments::Error;
use robin_experiments::spec::Normalize;
use robin_experiments::training_run::{MethodName, Overrides, RecipeName, Request, TrainedKind, text};
use robin_training::{AttackMode, Proportion, Schedule};

use crate::data::folder;
use crate::device::DeviceArguments;

/// Settings of a training; those that are not given are the recipe's, and all of them are written into `run.json`.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  \
    cargo xtask train --dataset mnist --embedded --model cnn2-small --epochs 3 --out results/mnist\n  \
    cargo xtask train --dataset cifar10 --model resnet18 --classifier one-vs-all --norm linf --out results/robin\n  \
    cargo xtask train --dataset own.safetensors --model myrtle --method trades --lambda 6 --epsilon 8/255 \\\n    \
    --norm linf --epochs 80 --validation 1000 --out results/own\n\n\
    Interrupt it with Ctrl-C, kill it or let the machine crash: the same command continues from the last checkpoint\n\
    and ends with the same weights, bit for bit. SIGUSR1 writes a checkpoint at once. In the folder: run.json\n\
    (settings), for each network its weights, best weights and record, and logs/ (JSON lines, CSV, TensorBoard).\n\
    Exit codes: 0 done, 1 a network failed, 2 wrong usage, 130 interrupted."
)]
pub struct Arguments {
    /// A name (mnist, cifar10...: see `list datasets`), or the path of your own: folders of PNG or JPEG images, Parquet,
    /// safetensors, NumPy, an IDX pair, or CIFAR-100's files.
    #[arg(long)]
    dataset: Choice,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR", conflicts_with = "embedded")]
    data_dir: Option<PathBuf>,
    /// The subset inside the program instead of the full data set.
    #[arg(long)]
    embedded: bool,
    /// Half of the data set that is trained on.
    #[arg(long, value_enum, default_value_t = Half::Train)]
    split: Half,
    /// Only the first so many images.
    #[arg(long, value_name = "N")]
    train_images: Option<usize>,
    /// Draw images at random by a seed, instead of taking the first ones: those that are trained on, and those of them that the
    /// network is measured on.
    #[arg(long, value_name = "SEED")]
    sample: Option<u64>,
    /// How many classes there are [default: as the data set says, else one more than the largest label].
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Architecture; a wrong name lists them.
    #[arg(long)]
    model: String,
    /// Channels of the first convolution, the rest in proportion [default: the architecture's own].
    #[arg(long, value_name = "N")]
    width: Option<usize>,
    /// Input normalisation: none, or MEAN,.../STD,... [default: the data set's].
    #[arg(long, value_parser = normalize, value_name = "NUMBERS")]
    normalize: Option<Normalization>,
    /// Which networks: multiclass; those of an aggregate (one-vs-all, one-vs-one, hierarchical:SPLIT, shared-trunk,
    /// ensemble:N, mixture:N); other:COUNT or other:COUNT:ORDER, where only the first COUNT - 1 classes of a class order
    /// stand alone.
    #[arg(long, value_parser = text::classifier, default_value = "multiclass")]
    classifier: TrainedKind,
    /// Only the arms of these classes, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "CLASSES")]
    arm: Option<Vec<u32>>,
    /// Settings that are not given: paper; momentum (0.9, where the paper states none); fast (not the paper's: CIFAR-10 in
    /// minutes); single-step (the same with training attacks of one step); or strong (everything perturbed, reflected padding,
    /// flips, best epoch).
    #[arg(long, default_value_t = RecipeName::Paper)]
    recipe: RecipeName,
    /// standard, pgd-at, trades or mart [default: pgd-at].
    #[arg(long)]
    method: Option<MethodName>,
    /// l2 or linf [default: l2].
    #[arg(long)]
    norm: Option<Norm>,
    /// Training budget, like 0.5 or 8/255 [default: the paper's].
    #[arg(long, allow_hyphen_values = true)]
    epsilon: Option<Epsilon>,
    /// Steps of the training attack.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Their length: pixels like 2/255, or 2.5x for 2.5 epsilon / steps.
    #[arg(long, value_parser = text::step_size, value_name = "SIZE")]
    step_size: Option<StepSize>,
    /// Weight of the divergence in trades and mart.
    #[arg(long)]
    lambda: Option<f64>,
    /// Share of perturbed examples in pgd-at: it rises along a cosine, or is all from the beginning.
    #[arg(long, value_enum)]
    proportion: Option<Share>,
    /// Batch norm during the training attack: with running statistics (eval), or each batch's own (train) [default: eval].
    #[arg(long, value_enum)]
    attack_mode: Option<Mode>,
    /// Passes over the images.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Images of a step.
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate at its highest.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Of SGD.
    #[arg(long)]
    momentum: Option<f64>,
    /// Of SGD.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// steps:0.5,0.75:0.1 (milestones, factor), cosine:LAST or one-cycle:FIRST,PEAK,LAST.
    #[arg(long, value_parser = text::schedule)]
    schedule: Option<Schedule>,
    /// Batches of all images alike, or half of them from the arm's class.
    #[arg(long, value_enum)]
    sampling: Option<Batches>,
    /// Pixels around an image before the random crop; 0 = no crop.
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<usize>,
    /// What these pixels are.
    #[arg(long, value_enum)]
    padding: Option<Border>,
    /// Whether images are mirrored at random.
    #[arg(long, value_enum)]
    flip: Option<Mirror>,
    /// Share of each label that is spread over all classes.
    #[arg(long)]
    label_smoothing: Option<f64>,
    /// Decay of an average of the weights, which is then what is kept; 0 = none.
    #[arg(long, value_name = "DECAY")]
    weight_averaging: Option<f64>,
    /// Training images held out to find the best epoch; 0 = none.
    #[arg(long, value_name = "N")]
    validation: Option<usize>,
    /// Training images on which the finished network is measured [default: 1000 or all].
    #[arg(long, value_name = "N")]
    measured_images: Option<usize>,
    /// Root of all randomness.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads that compute [default: one per core]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Networks trained side by side, at most one per thread [default: that]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
    #[command(flatten)]
    device: DeviceArguments,
    /// Folder of the results.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Least time between two checkpoints of a network.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0)]
    checkpoint_every: f64,
    /// Print settings and results as JSON, and nothing else, on standard output.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Half {
    Train,
    Test,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Share {
    Cosine,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    Eval,
    Train,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Batches {
    Plain,
    Balanced,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Border {
    Zeros,
    Reflect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mirror {
    None,
    Horizontal,
}

/// `None` = none; clap would take a bare `Option` for an argument that may be left out.
#[derive(Debug, Clone)]
struct Normalization(Option<Normalize>);

fn normalize(given: &str) -> Result<Normalization, Error> {
    text::normalize(given).map(Normalization)
}

impl Arguments {
    /// What is asked for.
    pub fn request(&self) -> anyhow::Result<Request> {
        let source = match (self.embedded, self.dataset.published()) {
            (true, _) => Source::Embedded,
            (false, Some(_)) => Source::Folder(folder(self.data_dir.as_ref())?),
            // Images of one's own are where they are.
            (false, None) => Source::Embedded,
        };
        Ok(Request {
            dataset: self.dataset.clone(),
            source,
            split: match self.split {
                Half::Train => Split::Train,
                Half::Test => Split::Test,
            },
            train_images: self.train_images,
            sample: self.sample,
            classes: self.classes,
            model: self.model.clone(),
            width: self.width,
            classifier: self.classifier,
            arms: self.arm.clone(),
            recipe: self.recipe,
            overrides: self.overrides(),
            seed: self.seed,
            device: self.device.device()?,
        })
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            method: self.method,
            norm: self.norm,
            epsilon: self.epsilon,
            steps: self.steps,
            step_size: self.step_size,
            lambda: self.lambda,
            proportion: self.proportion.map(|share| match share {
                Share::Cosine => Proportion::Cosine,
                Share::All => Proportion::All,
            }),
            attack_mode: self.attack_mode.map(|mode| match mode {
                Mode::Eval => AttackMode::Eval,
                Mode::Train => AttackMode::Train,
            }),
            epochs: self.epochs,
            batch_size: self.batch,
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            schedule: self.schedule.clone(),
            sampling: self.sampling.map(|batches| match batches {
                Batches::Plain => Sampling::Plain,
                Batches::Balanced => Sampling::Balanced,
            }),
            crop_padding: self.crop_padding,
            padding: self.padding.map(|border| match border {
                Border::Zeros => Padding::Zeros,
                Border::Reflect => Padding::Reflect,
            }),
            flip: self.flip.map(|mirror| match mirror {
                Mirror::None => Flip::None,
                Mirror::Horizontal => Flip::Horizontal,
            }),
            normalize: self.normalize.clone().map(|Normalization(normalize)| normalize),
            label_smoothing: self.label_smoothing,
            weight_averaging: self.weight_averaging,
            validation: self.validation,
            measured_images: self.measured_images,
        }
    }

    /// The least time between two checkpoints.
    pub(super) fn checkpoint_every(&self) -> Result<Duration, Error> {
        // A year.
        const LONGEST: f64 = 366.0 * 86_400.0;
        let legal = Some(self.checkpoint_every).filter(|seconds| (0.0..=LONGEST).contains(seconds));
        legal.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| Error::Option {
            option: "--checkpoint-every",
            value: self.checkpoint_every.to_string(),
            allowed: format!("a number of seconds from 0 to {LONGEST}"),
        })
    }
}
