//! Which images: a published data set by name, or the user's own by path.

mod arrange;
mod find;
mod idx_pair;
mod numpy;
mod packed;
mod parquet;
mod picture;
mod raw;
mod tensors;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use self::find::{Found, find};
use crate::pixels::{IN_MEMORY, Pixels};
use crate::{Dataset, DatasetName, Error, Result, Source, Split, cifar};

/// A data set as it is named on the command line: `mnist`, `cifar10`, or the path of the user's own images.
///
/// A path is a folder, a file, or the beginning of file names. Recognised are
///
/// - IDX pairs: `NAME-images-idx3-ubyte` and `NAME-labels-idx1-ubyte`, each plain or with `.gz`; `NAME` is the
///   prefix, in a folder `train` for one split and `t10k` or `test` for the other; a dot may stand before `idx`;
/// - CIFAR-100's binary files (fine labels): `train.bin`, `test.bin`, or one such file;
/// - safetensors: `train.safetensors`, `test.safetensors`, or one file, with `images` (u8, or f32 in `[0, 1]`,
///   `[n, c, h, w]`) and `labels` (u8, i32, u32 or i64, `[n]`); an entry `classes` of its metadata says how many
///   classes there are;
/// - NumPy: `train.npz`, `test.npz`, or one archive, with `images`, `x` or `data` and `labels` or `y` (also with the
///   split: `x_train`, `test_labels`); or a `.npy` file of images with `labels.npy`, or `NAME-labels.npy` for
///   `NAME-images.npy`, beside it; values as in safetensors;
/// - PNG and JPEG images in one folder per class, in a folder `train`, `test` or `val` of the split, or at once. Classes
///   are the folders' names, sorted. The first images of all classes come first, then the second;
/// - Parquet, as Hugging Face's `datasets` writes it: `train-00000-of-00002.parquet` and so on, in the folder or in its `data`
///   (`test-`, else `validation-`), or one file; a column of PNG or JPEG images (`image` or `img`) and one of labels
///   (`label`, `labels` or `fine_label`), whose names in the file's metadata say how many classes there are.
///
/// Images are in memory, as 8 bits a value, up to a GiB of them. Larger sets stay in their files (plain IDX pairs,
/// safetensors, `.npy`, trees), Parquet's images packed in a temporary one, and each image is read when it is asked for.
/// [`Choice::load_prepared`] reads of trees and Parquet files only those images that are asked for. A path that names one
/// file or one pair is taken for whichever split is asked for. Where no file says how many classes there are, it is one more
/// than the largest label, in a folder that of the training images.
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
        self.load_prepared(split, source, limit, &Preparation::default())
    }

    /// As [`Choice::load`], with what is done to the user's own images first.
    ///
    /// # Errors
    /// As [`Choice::load`]; [`Error::Preparation`] where there is nothing to prepare.
    pub fn load_prepared(
        &self,
        split: Split,
        source: &Source,
        limit: Option<usize>,
        preparation: &Preparation,
    ) -> Result<Dataset> {
        let data = match self {
            Self::Published(_) if *preparation != Preparation::default() => {
                return Err(preparation.unused(self.to_string()));
            }
            Self::Published(name) => Dataset::load(*name, split, source)?,
            Self::Own(path) => load(path, &Reading::new(split, limit, preparation))?,
        };
        limit.map_or_else(|| Ok(data.clone()), |limit| data.take(limit))
    }

    /// Whether [`Choice::load_prepared`] reads only those images that are asked for.
    pub fn is_read_in_part(&self, split: Split) -> bool {
        matches!(self, Self::Own(path) if matches!(find(path, split), Ok(Found::Tree(_) | Found::Parquet(_))))
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

/// What is done to the user's own images before anything else. Nothing, unless it is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Preparation {
    /// Images of a tree are resized so that the shorter side has so many pixels, by bilinear interpolation over as many
    /// pixels as are joined, as torchvision's `Resize` with antialiasing.
    pub resize: Option<u32>,
    /// The middle square of so many pixels is kept, as torchvision's `CenterCrop`.
    pub center_crop: Option<u32>,
    /// Arrays are `[n, h, w, c]`, and converted.
    pub channels_last: bool,
}

impl Preparation {
    fn unused(&self, data: String) -> Error {
        Error::Preparation { data, preparation: self.to_string() }
    }
}

impl fmt::Display for Preparation {
    /// As records name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resize = self.resize.map(|side| format!("resize {side} (shorter side, bilinear, antialiased)"));
        let crop = self.center_crop.map(|side| format!("center crop {side}"));
        let last = self.channels_last.then(|| "channels last".to_owned());
        let parts: Vec<String> = [resize, crop, last].into_iter().flatten().collect();
        f.pad(&parts.join(", "))
    }
}

/// How images are read.
#[derive(Debug, Clone, Copy)]
struct Reading<'a> {
    split: Split,
    /// How many classes there are, where that is known beforehand.
    classes: Option<usize>,
    /// The first so many, where a format can be read in part.
    limit: Option<usize>,
    preparation: &'a Preparation,
    /// More bytes of pixels than these stay where they are.
    in_memory: usize,
}

impl<'a> Reading<'a> {
    fn new(split: Split, limit: Option<usize>, preparation: &'a Preparation) -> Self {
        Self { split, classes: None, limit, preparation, in_memory: IN_MEMORY }
    }
}

/// The contents of some files.
#[derive(Debug)]
struct Images {
    /// `[c, h, w]`, each at least 1.
    shape: [usize; 3],
    /// At least one image.
    pixels: Pixels,
    /// `[n]`, below `classes`.
    labels: Vec<u16>,
    classes: usize,
}

fn load(path: &Path, reading: &Reading<'_>) -> Result<Dataset> {
    let Reading { split, .. } = *reading;
    let found = find(path, split)?;
    // A test set need not have every class that the network was trained on.
    let classes = match (split, path.is_dir(), &found) {
        (.., Found::Tree(_)) => None,
        (Split::Test, true, _) => match find(path, Split::Train) {
            Ok(train) => Some(
                read(&train, &Reading { split: Split::Train, limit: Some(1), in_memory: 0, ..*reading })?
                    .classes,
            ),
            Err(Error::NoDataset { .. }) => None,
            Err(error) => return Err(error),
        },
        _ => None,
    };
    let Images { shape, pixels, labels, classes } = read(&found, &Reading { classes, ..*reading })?;
    let data = Dataset::of(&display_name(path), classes, split, shape, pixels, labels)?;
    let in_memory = data.is_in_memory();
    tracing::debug!(name = data.name(), %split, examples = data.len(), in_memory, "own data set loaded");
    Ok(data)
}

fn read(found: &Found, reading: &Reading<'_>) -> Result<Images> {
    let Reading { preparation, .. } = reading;
    let Preparation { resize, center_crop, channels_last } = preparation;
    let (of_pictures, of_arrays) = (resize.is_some() || center_crop.is_some(), *channels_last);
    let unused = match found {
        Found::Idx { .. } | Found::Cifar100(_) => of_pictures || of_arrays,
        Found::Safetensors(_) | Found::Npz(_) | Found::Npy { .. } => of_pictures,
        Found::Tree(_) | Found::Parquet(_) => of_arrays,
    };
    if unused {
        return Err(preparation.unused(format!("{found}")));
    }
    match found {
        Found::Idx { images, labels } => idx_pair::read(images, labels, reading),
        Found::Safetensors(path) => tensors::read_file(path, reading),
        Found::Npz(path) => numpy::read_archive(path, reading),
        Found::Npy { images, labels } => numpy::read_pair(images, labels, reading),
        Found::Tree(tree) => tree::read(tree, reading),
        Found::Parquet(files) => parquet::read(files, reading),
        Found::Cifar100(path) => {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            let format = cifar::Records::Cifar100;
            cifar::append(&path.display().to_string(), &contents(path)?, format, &mut pixels, &mut labels)?;
            let labels = labels.into_iter().map(u16::from).collect();
            let pixels = Pixels::Memory(pixels.into());
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

/// Bytes of the largest file that is read at once: those of ImageNet at 64 x 64 fit.
const LARGEST: u64 = 1 << 34;

/// Whether so many bytes of pixels stay where they are.
fn is_large(bytes: u64, reading: &Reading<'_>) -> bool {
    usize::try_from(bytes).map_or(true, |bytes| bytes > reading.in_memory)
}

fn contents(path: &Path) -> Result<Vec<u8>> {
    robin_files::read(path, LARGEST).map_err(Error::io("read", path))
}

/// Labels are of 16 bits.
const MOST_CLASSES: usize = 1 << 16;

/// `labels` out of `file`, where they begin at `start` and have `size` bytes each, checked to be below `classes`.
fn labels(
    file: &str,
    start: usize,
    size: usize,
    labels: impl Iterator<Item = i64>,
    classes: Option<usize>,
) -> Result<Vec<u16>> {
    let classes = classes.unwrap_or(MOST_CLASSES);
    let check = |(at, label): (usize, i64)| match u16::try_from(label) {
        Ok(label) if usize::from(label) < classes => Ok(label),
        _ => Err(Error::Format {
            file: file.to_owned(),
            offset: (start + at * size) as u64,
            expected: format!("a label of 0 to {}", classes - 1),
            found: label.to_string(),
        }),
    };
    labels.enumerate().map(check).collect()
}

/// `classes`, else one more than the largest of `labels`.
fn count_classes(labels: &[u16], classes: Option<usize>) -> usize {
    classes.unwrap_or_else(|| labels.iter().max().map_or(0, |&label| usize::from(label) + 1))
}

pub(crate) fn fuzz_tensors(bytes: &[u8]) {
    let _ = tensors::read("f", bytes, &Reading::new(Split::Test, None, &Preparation::default()));
}

pub(crate) use numpy::fuzz as fuzz_npy;
pub(crate) use parquet::fuzz as fuzz_parquet;
pub(crate) use picture::fuzz as fuzz_picture;

pub(crate) fn fuzz_npz(bytes: &[u8]) {
    let _ = numpy::archive("f", bytes, &Reading::new(Split::Test, None, &Preparation::default()));
}

#[cfg(test)]
mod large_tests;
#[cfg(test)]
mod more_tests;
#[cfg(test)]
mod tests;
