//! From a path to the files that it means.

use std::path::{Path, PathBuf};

use crate::{Error, Result, Split};

const IMAGES: &str = "-images-idx3-ubyte";
const LABELS: &str = "-labels-idx1-ubyte";

/// Files of one split.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Idx { images: PathBuf, labels: PathBuf },
    Cifar100(PathBuf),
    Safetensors(PathBuf),
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
            looked_for: vec![format!("a name that ends in .safetensors, .bin or {IMAGES}")],
        }),
        [] => Err(Error::NoDataset { text: text(), looked_for: named(candidates.iter().collect()) }),
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
        return vec![with(IMAGES.to_owned()), with(format!("{IMAGES}.gz"))];
    }
    let names: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
    };
    let endings = [IMAGES.to_owned(), format!("{IMAGES}.gz"), ".bin".to_owned(), ".safetensors".to_owned()];
    let files = names.iter().flat_map(|name| endings.iter().map(move |ending| format!("{name}{ending}")));
    files.map(|file| path.join(file)).collect()
}

/// What the name of the file `path` says about it.
fn found(path: &Path) -> Option<Found> {
    let name = path.file_name()?.to_str()?;
    if let Some(prefix) = name.trim_end_matches(".gz").strip_suffix(IMAGES) {
        let plain = path.with_file_name(format!("{prefix}{LABELS}"));
        let packed = path.with_file_name(format!("{prefix}{LABELS}.gz"));
        let labels = if packed.is_file() && !plain.is_file() { packed } else { plain };
        return Some(Found::Idx { images: path.to_owned(), labels });
    }
    match Path::new(name).extension()?.to_str()? {
        "bin" => Some(Found::Cifar100(path.to_owned())),
        "safetensors" => Some(Found::Safetensors(path.to_owned())),
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
