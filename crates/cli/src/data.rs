//! `cargo xtask data`: the full data sets.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use robin_data::{
    Choice as AnyData, Dataset, DatasetName, FetchObserver, FileStatus, Source, SourceFailure, Split,
};

use crate::interrupt;
use crate::terminal::{Lost, answer, say};

/// What to do with which data set.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Get the files that are missing, checked by SHA-256; continues when run again.
    #[command(after_help = "Example:\n  cargo xtask data fetch mnist --data-dir data")]
    Fetch(Choice),
    /// Check size and SHA-256 of every file.
    #[command(after_help = "Example:\n  cargo xtask data verify mnist")]
    Verify(Choice),
    /// Say what is there: files, examples, classes.
    #[command(
        after_help = "Examples:\n  cargo xtask data info mnist --embedded\n  cargo xtask data info own.safetensors"
    )]
    Info {
        /// A name (`list datasets`), or the path of your own: folders of PNG or JPEG images, Parquet, safetensors,
        /// NumPy, an IDX pair, or CIFAR-100's files.
        dataset: AnyData,
        /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// The subset inside the program instead of the full set.
        #[arg(long)]
        embedded: bool,
    },
}

#[derive(Debug, Args)]
struct Choice {
    /// The data set, by name (`list datasets`).
    dataset: DatasetName,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Choice {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        folder(self.data_dir.as_ref())
    }
}

/// The data folder that was named, else the usual one.
pub fn folder(named: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    match named {
        Some(folder) => Ok(folder.clone()),
        None => Ok(robin_data::default_dir()?),
    }
}

/// Fetches, checks or describes.
///
/// # Errors
/// Of the data, with what to do; if files are missing or wrong.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Fetch(choice) => fetch(choice),
        Action::Verify(choice) => verify(choice),
        Action::Info { dataset, data_dir, embedded } => match dataset.published() {
            Some(dataset) => info(&Choice { dataset, data_dir: data_dir.clone() }, *embedded),
            None => info_of_own(dataset),
        },
    }
}

fn fetch(choice: &Choice) -> anyhow::Result<()> {
    let folder = choice.folder()?;
    let mut bar = Bar(ProgressBar::new(0));
    let style = ProgressStyle::with_template("{msg} {bytes} of {total_bytes} {bytes_per_sec}")?;
    bar.0.set_style(style);
    bar.0.enable_steady_tick(Duration::from_millis(500));
    let result = robin_data::fetch(choice.dataset, &folder, &mut bar, &interrupt::token()?);
    bar.0.finish_and_clear();
    result?;
    Ok(print_files(&robin_data::verify(choice.dataset, &folder)?)?)
}

fn verify(choice: &Choice) -> anyhow::Result<()> {
    let files = robin_data::verify(choice.dataset, &choice.folder()?)?;
    let printed = print_files(&files);
    match files.iter().filter(|file| !file.is_ok()).count() {
        0 => Ok(printed?),
        wrong => bail!("{wrong} of {} files of {} are missing or wrong", files.len(), choice.dataset),
    }
}

fn info(choice: &Choice, embedded: bool) -> anyhow::Result<()> {
    let source = if embedded { Source::Embedded } else { Source::Folder(choice.folder()?) };
    let info = robin_data::info(choice.dataset, &source)?;
    let [channels, height, width] = info.shape;
    answer!("{}: images {channels} x {height} x {width}, classes {}", info.name, info.classes.join(", "))?;
    print_files(&info.files)?;
    for split in &info.splits {
        answer!("{}: {} examples, SHA-256 {}", split.split, split.examples, split.sha256)?;
        answer!("  by class: {:?}", split.class_counts)?;
    }
    Ok(())
}

/// What is behind a path: both splits where it leads to two.
fn info_of_own(dataset: &AnyData) -> anyhow::Result<()> {
    let load = |split| dataset.load(split, &Source::Embedded, None);
    let train: Dataset = load(Split::Train).with_context(|| format!("cannot load {dataset}"))?;
    let [channels, height, width] = train.shape();
    answer!("{}: images {channels} x {height} x {width}, {} classes", train.name(), train.num_classes())?;
    let test = match load(Split::Test) {
        Ok(test) if test.sha256()? != train.sha256()? => Some(test),
        // One file is the same for both.
        Ok(_) | Err(robin_data::Error::NoDataset { .. }) => None,
        Err(error) => return Err(error).with_context(|| format!("cannot load the test images of {dataset}")),
    };
    for data in [Some(train), test].into_iter().flatten() {
        answer!("{}: {} examples, SHA-256 {}", data.split(), data.len(), data.sha256()?)?;
        answer!("  by class: {:?}", data.class_counts())?;
    }
    Ok(())
}

fn print_files(files: &[FileStatus]) -> Result<(), Lost> {
    for file in files {
        answer!("{}: {}", file.path.display(), file.state)?;
    }
    Ok(())
}

/// Shows what is being fetched; a failed source is worth a line, because the next one may be slower.
struct Bar(ProgressBar);

impl FetchObserver for Bar {
    fn progress(&mut self, doing: &str, done: u64, total: Option<u64>) {
        self.0.set_length(total.unwrap_or(done));
        self.0.set_position(done);
        self.0.set_message(doing.to_owned());
    }

    fn source_failed(&mut self, failure: &SourceFailure) {
        self.0.suspend(|| say!("{} did not deliver: {}", failure.source, failure.reason));
    }
}
