//! From a path to the files that it means.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::{Error, Result, Split};

use super::parquet;
use super::tree::{self, Tree};

/// Names of IDX pairs end so; the second is how some archives are unpacked.
const PAIRS: [[&str; 2]; 2] =
    [["-images-idx3-ubyte", "-labels-idx1-ubyte"], ["-images.idx3-ubyte", "-labels.idx1-ubyte"]];

/// Files of one split.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Idx { images: PathBuf, labels: PathBuf },
    Cifar100(PathBuf),
    Safetensors(PathBuf),
    Npz(PathBuf),
    Npy { images: PathBuf, labels: PathBuf },
    Tree(Tree),
    Parquet(Vec<PathBuf>),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Idx { .. } => "an IDX pair",
            Self::Cifar100(_) => "a binary file of CIFAR-100",
            Self::Safetensors(_) => "a safetensors file",
            Self::Npz(_) | Self::Npy { .. } => "NumPy's arrays",
            Self::Tree(_) => "a tree of images",
            Self::Parquet(_) => "Parquet files",
        })
    }
}

/// The files of `split` that `path` means.
///
/// # Errors
/// [`Error::NoDataset`], [`Error::Ambiguous`].
pub(super) fn find(path: &Path, split: Split) -> Result<Found> {
    let candidates = candidates(path, split);
    let mut there: Vec<&PathBuf> = candidates.iter().filter(|candidate| candidate.is_file()).collect();
    // The plain file counts where it and its gzip are both there.
    let plain: Vec<PathBuf> = there.iter().map(|path| without_gz(path)).collect();
    there.retain(|path| {
        !(is_gz(path) && plain.iter().filter(|plain| **plain == without_gz(path)).count() > 1)
    });
    let text = || path.display().to_string();
    let named = |paths: Vec<&PathBuf>| paths.iter().map(|path| path.display().to_string()).collect();
    match there[..] {
        [one] => found(one).ok_or_else(|| Error::NoDataset {
            text: text(),
            looked_for: vec![format!(
                "a name that ends in .safetensors, .npz, .npy, .parquet, .bin or {}",
                PAIRS[0][0]
            )],
        }),
        [] => {
            let files = parquet::find(path, split);
            if !files.is_empty() {
                return Ok(Found::Parquet(files));
            }
            let mut looked_for: Vec<String> = named(candidates.iter().collect());
            looked_for.push(format!("{split}-*.parquet"));
            looked_for.push("folders of PNG or JPEG images, one per class".to_owned());
            tree::find(path, split)
                .filter(|_| path.is_dir())
                .map(Found::Tree)
                .ok_or_else(|| Error::NoDataset { text: text(), looked_for })
        }
        _ => Err(Error::Ambiguous { text: text(), files: named(there) }),
    }
}

/// Every file that would do.
fn candidates(path: &Path, split: Split) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let with = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    if !path.is_dir() {
        let endings = PAIRS.iter().flat_map(|[images, _]| [(*images).to_owned(), format!("{images}.gz")]);
        return endings.map(with).collect();
    }
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
    };
    let pairs = PAIRS.iter().flat_map(|[images, _]| [(*images).to_owned(), format!("{images}.gz")]);
    let others = [".bin", ".safetensors", ".npz"].map(str::to_owned);
    let endings: Vec<String> = pairs.chain(others).collect();
    let files = names.iter().flat_map(|name| endings.iter().map(move |ending| format!("{name}{ending}")));
    files.map(|file| path.join(file)).collect()
}

/// What the name of the file `path` says about it.
fn found(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?;
    for [images, labels] in PAIRS {
        let Some(prefix) = name.trim_end_matches(".gz").strip_suffix(images) else { continue };
        let plain = path.with_file_name(format!("{prefix}{labels}"));
        let packed = path.with_file_name(format!("{prefix}{labels}.gz"));
        let labels = if packed.is_file() && !plain.is_file() { packed } else { plain };
        return Some(Found::Idx { images: path.to_owned(), labels });
    }
    match Path::new(name).extension()?.to_str()? {
        "bin" => Some(Found::Cifar100(path.to_owned())),
        "safetensors" => Some(Found::Safetensors(path.to_owned())),
        "npz" => Some(Found::Npz(path.to_owned())),
        "parquet" => Some(Found::Parquet(vec![path.to_owned()])),
        "npy" => {
            let labels = name.strip_suffix("-images.npy").map(|prefix| format!("{prefix}-labels.npy"));
            let labels = path.with_file_name(labels.unwrap_or_else(|| "labels.npy".to_owned()));
            Some(Found::Npy { images: path.to_owned(), labels })
        }
        _ => None,
    }
}

/// Whether the file is to be decompressed.
pub(super) fn is_gz(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn without_gz(path: &Path) -> PathBuf {
    if is_gz(path) { path.with_extension("") } else { path.to_owned() }
}
