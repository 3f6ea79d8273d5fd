//! What a training leaves on disk, and what it finds there when it is given again.
//!
//! `run.json` (settings), and for each arm `ARM.safetensors` (after the last epoch), `ARM.best.safetensors` (of the
//! best epoch, where images are held out), `ARM.json` (its record, written last: an arm with one is finished),
//! `ARM.ckpt` and `ARM.previous.ckpt` until then, and the [`crate::logs`] in `logs/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Arm, TrainingRun};
use crate::key::Key;
use crate::out::{Out, anything, check_targets, write};
use crate::record::{Kind, Record};
use crate::role::{Epoch, weights_sha256, with_role};
use crate::{Error, Result, logs};

const FORMAT: &str = "robin-training-run/1";

/// The right to write into a training's folder, until dropped.
#[derive(Debug)]
pub struct Folder {
    out: Out,
}

/// Which of an arm's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// After the last epoch.
    Last,
    /// Of the epoch with the highest robust accuracy on the held-out images.
    Best,
}

impl Folder {
    /// Creates and locks `path` for a training of `run`; checks that there is room for `needed` bytes, and that every file
    /// of it can be written.
    ///
    /// # Errors
    /// [`Error::Occupied`] if something else is in it; [`Error::OtherRun`] if the folder is another training's, with the
    /// first setting that differs; [`Error::Damaged`] if its `run.json` cannot be read; [`Error::Locked`],
    /// [`Error::NoSpace`], [`Error::Link`], [`Error::Io`].
    pub fn open(path: &Path, run: &TrainingRun, needed: u64) -> Result<Self> {
        let folder = Self { out: Out::open(path, needed)? };
        let whole = json!({ "format": FORMAT, "settings": run.settings });
        // Nothing existing is overwritten: without a `run.json` nothing may be there but hidden files.
        folder.out.claim("run.json", &whole, anything, |(field, was, asked)| Error::OtherRun {
            folder: path.to_owned(),
            field,
            was,
            asked,
        })?;
        let logs = folder.out.folder("logs")?;
        for Arm { name, .. } in &run.arms {
            folder.out.folder(Path::new("logs").join(name))?;
            let files = [
                folder.record(name),
                folder.weights(name, Weights::Last),
                folder.weights(name, Weights::Best),
                folder.checkpoint(name),
                folder.checkpoint(name).with_extension("previous.ckpt"),
            ];
            check_targets(files.into_iter().chain(logs::paths(&logs, name)))?;
        }
        Ok(folder)
    }

    /// The record of `arm` if it is finished.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the record, or the weights beside it, are not what was written.
    pub fn finished(&self, arm: &Arm) -> Result<Option<Record>> {
        let path = self.record(&arm.name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        let record = Record::from_text(&text, &path, Kind::Network, &Key::of(&arm.settings))?;
        let promised = [
            (Weights::Last, &record.results["weights_sha256"]),
            (Weights::Best, &record.results["best"]["weights_sha256"]),
        ];
        for (which, expected) in promised {
            let Some(expected) = expected.as_str() else { continue };
            let weights = self.weights(&arm.name, which);
            let found = match fs::read(&weights) {
                Ok(bytes) => weights_sha256(&bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => "no such file".to_owned(),
                Err(error) => return Err(Error::io(&weights, "read")(error)),
            };
            if found != expected {
                let what = "SHA-256 of the weights beside this record";
                return Err(Error::Damaged { path, what, expected: expected.to_owned(), found });
            }
        }
        Ok(Some(record))
    }

    /// Writes an arm's weights, each with its role, then the record that says that it is finished.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; [`Error::Work`] for bytes that are no weights.
    pub fn save(&self, name: &str, record: &Record, weights: &[(Weights, Vec<u8>)]) -> Result<()> {
        for (which, bytes) in weights {
            let epoch = match which {
                Weights::Last => Epoch::Last,
                Weights::Best => Epoch::Best,
            };
            let bytes = with_role(bytes, &record.settings, epoch)?;
            write(&self.weights(name, *which), &bytes)?;
        }
        write(&self.record(name), record.to_text().as_bytes())
    }

    /// Where an arm's weights are, or will be.
    pub fn weights(&self, name: &str, which: Weights) -> PathBuf {
        self.out.path().join(match which {
            Weights::Last => format!("{name}.safetensors"),
            Weights::Best => format!("{name}.best.safetensors"),
        })
    }

    /// Where an arm's checkpoints are while it is trained.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.out.path().join(format!("{name}.ckpt"))
    }

    /// Where the logs are.
    pub fn logs(&self) -> PathBuf {
        self.out.path().join("logs")
    }

    fn record(&self, name: &str) -> PathBuf {
        self.out.path().join(format!("{name}.json"))
    }
}
