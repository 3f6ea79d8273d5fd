//! What is on disk: checksums, counts, shapes.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::canonical::{self, CanonicalFile};
use crate::{Dataset, DatasetName, Error, Result, Source, Split, gzip};
use robin_files::checksum;

/// State of every file of `dataset` in `data_dir`, train before test. Reads and hashes them all.
///
/// # Errors
/// [`Error::Io`] if a file exists but cannot be read.
pub fn verify(dataset: DatasetName, data_dir: &Path) -> Result<Vec<FileStatus>> {
    let folder = dataset.folder(data_dir);
    canonical::files(dataset).iter().map(|file| status(file, &folder)).collect()
}

/// One published file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStatus {
    /// The published name.
    pub name: &'static str,
    /// Where it is (perhaps with `.gz`), or belongs.
    pub path: PathBuf,
    /// Whether it is what it should be.
    pub state: FileState,
}

impl FileStatus {
    /// Whether the contents are the published ones.
    pub fn is_ok(&self) -> bool {
        self.state == FileState::Verified
    }
}

/// Whether a file is the published one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum FileState {
    /// Size and SHA-256 are right.
    Verified,
    /// There is no such file.
    Missing,
    /// The size, in bytes and after decompression, is not.
    WrongSize {
        /// Published size.
        expected: u64,
        /// Size on disk.
        found: u64,
    },
    /// After decompression there is more than there should be; how much, nobody looked.
    TooLong {
        /// Published size.
        expected: u64,
    },
    /// The size is right, the contents are not.
    WrongChecksum {
        /// Published SHA-256, hex.
        expected: String,
        /// SHA-256 on disk, hex.
        found: String,
    },
    /// A gzip stream that does not decompress.
    BrokenGzip {
        /// What the decoder says.
        reason: String,
    },
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.pad("ok"),
            Self::Missing => f.pad("missing"),
            Self::WrongSize { expected, found } => {
                write!(f, "wrong size: expected {expected}, found {found}")
            }
            Self::TooLong { expected } => write!(f, "wrong size: expected {expected}, found more"),
            Self::WrongChecksum { expected, found } => {
                write!(f, "wrong checksum: expected SHA-256 {expected}, found {found}")
            }
            Self::BrokenGzip { reason } => write!(f, "broken gzip stream: {reason}"),
        }
    }
}

/// State of `file` in `folder`; the plain file counts where both it and a `.gz` exist.
pub(crate) fn status(file: &CanonicalFile, folder: &Path) -> Result<FileStatus> {
    let plain = folder.join(file.name);
    let packed = file.gzip_path(folder);
    let (path, state) = if let Some(found) = canonical::size_of(&plain)? {
        let state = if found == file.size {
            let reader = File::open(&plain).map_err(Error::io("open", &plain))?;
            // Somebody may be writing to it.
            let reader = reader.take(file.size + 1);
            judge(file, checksum::sha256_of(reader).map_err(Error::io("read", &plain))?)
        } else {
            FileState::WrongSize { expected: file.size, found }
        };
        (plain, state)
    } else if canonical::size_of(&packed)?.is_some() {
        let reader = File::open(&packed).map_err(Error::io("open", &packed))?;
        let state = match checksum::sha256_of(gzip::decoder(reader, file.size)) {
            Ok((_, size)) if size > file.size => FileState::TooLong { expected: file.size },
            Ok(outcome) => judge(file, outcome),
            Err(error) => FileState::BrokenGzip { reason: error.to_string() },
        };
        (packed, state)
    } else {
        (plain, FileState::Missing)
    };
    Ok(FileStatus { name: file.name, path, state })
}

fn judge(file: &CanonicalFile, (sha256, size): (String, u64)) -> FileState {
    if size != file.size {
        FileState::WrongSize { expected: file.size, found: size }
    } else if sha256 != file.sha256 {
        FileState::WrongChecksum { expected: file.sha256.to_owned(), found: sha256 }
    } else {
        FileState::Verified
    }
}

/// What there is to know about a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DatasetInfo {
    /// Which one.
    pub name: DatasetName,
    /// Image shape `[c, h, w]`.
    pub shape: [usize; 3],
    /// Class names, by label.
    pub classes: Vec<&'static str>,
    /// Files with their state; none for the embedded subset.
    pub files: Vec<FileStatus>,
    /// The splits that can be loaded.
    pub splits: Vec<SplitInfo>,
}

/// One split of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitInfo {
    /// Which half.
    pub split: Split,
    /// Number of examples.
    pub examples: usize,
    /// Examples of each class, by label.
    pub class_counts: Vec<usize>,
    /// [`Dataset::sha256`].
    pub sha256: String,
}

/// Describes `dataset` at `source`. Splits whose files are missing or wrong are left out, and `files` says why; so are those of
/// the subset that this program was built without.
///
/// # Errors
/// [`Error::Io`] if a file exists but cannot be read.
pub fn info(dataset: DatasetName, source: &Source) -> Result<DatasetInfo> {
    let files = match source {
        Source::Embedded => Vec::new(),
        Source::Folder(folder) => verify(dataset, folder)?,
    };
    let mut splits = Vec::new();
    for split in [Split::Train, Split::Test] {
        let names = canonical::split_files(dataset, split);
        let broken =
            files.iter().any(|file| !file.is_ok() && names.iter().any(|name| name.name == file.name));
        if broken {
            continue;
        }
        let data = match Dataset::load(dataset, split, source) {
            Err(Error::NotBuiltIn { .. }) => continue,
            loaded => loaded?,
        };
        let (examples, sha256) = (data.len(), data.sha256()?.to_owned());
        splits.push(SplitInfo { split, examples, class_counts: data.class_counts(), sha256 });
    }
    let classes = dataset.class_names().to_vec();
    Ok(DatasetInfo { name: dataset, shape: dataset.shape(), classes, files, splits })
}
