//! Which images: a published data set by name, or the user's own by path.

mod find;
mod idx_pair;
mod tensors;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use self::find::{Found, find};
use crate::{Dataset, DatasetName, Error, Result, Source, Split, cifar};

/// A data set as it is named on the command line: `mnist`, `cifar10`, or the path of the user's own images.
///
/// A path is a folder, a file, or the beginning of file names. Recognised are
///
/// - IDX pairs: `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte`, each plain or with `.gz`; `NAME` is the
///   prefix, in a folder `train` for one split and `t10k` or `test` for the other;
/// - CIFAR-100's binary files (fine labels): `train.bin`, `test.bin`, or one such file;
/// - safetensors: `train.safetensors`, `test.safetensors`, or one file, with `images` (u8, `[n, c, h, w]`) and
///   `labels` (u8, i32, u32 or i64, `[n]`); an entry `classes` of its metadata says how many classes there are.
///
/// A path that names one file or one pair is taken for whichever split is asked for. Where no file says how many
/// classes there are, it is one more than the largest label, in a folder that of the training images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A data set with published checksums.
    Published(DatasetName),
    /// The user's own.
    Own(PathBuf),
}

impl Choice {
    /// Loads the first `limit` examples of a split (all if `None`). `source` says where the published sets are;
    /// the user's own are where they are.
    ///
    /// # Errors
    /// Those of [`Dataset::load`] and [`Dataset::take`]; [`Error::NoDataset`] if the path leads to no images,
    /// [`Error::Ambiguous`] if to several; [`Error::Format`] for a file that is truncated, empty, of another
    /// type, or has a label that is no class; [`Error::Counts`] for a pair that is none.
    pub fn load(&self, split: Split, source: &Source, limit: Option<usize>) -> Result<Dataset> {
        let data = match self {
            Self::Published(name) => Dataset::load(*name, split, source)?,
            Self::Own(path) => load(path, split)?,
        };
        limit.map_or_else(|| Ok(data.clone()), |limit| data.take(limit))
    }

    /// The published data set, if it is one.
    pub fn published(&self) -> Option<DatasetName> {
        match self {
            Self::Published(name) => Some(*name),
            Self::Own(_) => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published(name) => name.fmt(f),
            Self::Own(path) => f.pad(&path.display().to_string()),
        }
    }
}

impl FromStr for Choice {
    type Err = Error;

    /// Anything that is no name is a path; whether it leads anywhere is found by [`Choice::load`].
    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(name) => Ok(Self::Published(name)),
            Err(unknown) if text.is_empty() => Err(unknown),
            Err(_) => Ok(Self::Own(text.into())),
        }
    }
}

/// The contents of one or two files.
#[derive(Debug, PartialEq, Eq)]
struct Images {
    /// `[c, h, w]`, each at least 1.
    shape: [usize; 3],
    /// `[n, c, h, w]`, n at least 1.
    pixels: Vec<u8>,
    /// `[n]`, below `classes`.
    labels: Vec<u8>,
    classes: usize,
}

fn load(path: &Path, split: Split) -> Result<Dataset> {
    let found = find(path, split)?;
    // A test set need not have every class that the network was trained on.
    let classes = match (split, path.is_dir()) {
        (Split::Test, true) => match find(path, Split::Train) {
            Ok(train) => Some(read(&train, None)?.classes),
            Err(Error::NoDataset { .. }) => None,
            Err(error) => return Err(error),
        },
        _ => None,
    };
    let Images { shape, pixels, labels, classes } = read(&found, classes)?;
    let data = Dataset::new(&display_name(path), classes, split, shape, pixels, labels)?;
    tracing::debug!(name = data.name(), %split, examples = data.len(), "own data set loaded");
    Ok(data)
}

fn read(found: &Found, classes: Option<usize>) -> Result<Images> {
    match found {
        Found::Idx { images, labels } => idx_pair::read(images, labels, classes),
        Found::Safetensors(path) => tensors::read(&path.display().to_string(), &contents(path)?, classes),
        Found::Cifar100(path) => {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            let format = cifar::Records::Cifar100;
            cifar::append(&path.display().to_string(), &contents(path)?, format, &mut pixels, &mut labels)?;
            Ok(Images { shape: [3, 32, 32], pixels, labels, classes: format.classes() })
        }
    }
}

/// For records: the last part of the path, marked so that it is not taken for a published data set.
fn display_name(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let last = full.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned());
    format!("own:{last}")
}

/// Bytes of the largest file of images: those of ImageNet at 64 x 64 fit.
const LARGEST: u64 = 1 << 34;

fn contents(path: &Path) -> Result<Vec<u8>> {
    robin_files::read(path, LARGEST).map_err(Error::io("read", path))
}

/// `classes`, else one more than the largest of `labels`.
fn count_classes(labels: &[u8], classes: Option<usize>) -> usize {
    classes.unwrap_or_else(|| labels.iter().max().map_or(0, |&label| usize::from(label) + 1))
}

pub(crate) fn fuzz_tensors(bytes: &[u8]) {
    let _ = tensors::read("f", bytes, None);
}

#[cfg(test)]
mod tests;
