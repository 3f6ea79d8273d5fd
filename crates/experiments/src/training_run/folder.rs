//! What a training leaves on disk, and what it finds there when it is given again.
//!
//! `run.json` (settings), and for each arm `ARM.safetensors` (after the last epoch), `ARM.best.safetensors` (of the
//! best epoch, where images are held out), `ARM.json` (its record, written last: an arm with one is finished),
//! `ARM.ckpt` and `ARM.previous.ckpt` until then, and the [`crate::logs`] in `logs/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Arm;
use crate::key::Key;
use crate::record::{Kind, Record};
use crate::role::{Epoch, weights_sha256, with_role};
use crate::store::{lock, write_atomically};
use crate::{Error, Result};

const FORMAT: &str = "robin-training-run/1";

/// The right to write into a training's folder, until dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
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
    /// Creates and locks `path` for a training with `settings`; checks that there is room for `needed` bytes.
    ///
    /// # Errors
    /// [`Error::Occupied`] if something else is in it; [`Error::OtherRun`] if the folder is another training's, with the first setting that differs;
    /// [`Error::Damaged`] if its `run.json` cannot be read; [`Error::Locked`], [`Error::NoSpace`], [`Error::Io`].
    pub fn open(path: &Path, settings: &Value, needed: u64) -> Result<Self> {
        fs::create_dir_all(path).map_err(Error::io(path, "create the result folder"))?;
        let lock = lock(path)?;
        let free = fs4::available_space(path).map_err(Error::io(path, "ask for the free space"))?;
        if free < needed {
            return Err(Error::NoSpace { folder: path.to_owned(), needed, free });
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.claim(settings)?;
        Ok(folder)
    }

    /// Writes the settings, or compares them with those that are there.
    fn claim(&self, settings: &Value) -> Result<()> {
        let path = self.path.join("run.json");
        let whole = json!({ "format": FORMAT, "settings": settings });
        let found = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Value>(&bytes).map_err(|error| Error::Damaged {
                path: path.clone(),
                what: "content",
                expected: "JSON".to_owned(),
                found: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.check_empty()?;
                let text = serde_json::to_string_pretty(&whole)
                    .map_err(|source| Error::Json { what: "the settings", source })?;
                return write_atomically(&path, (text + "\n").as_bytes());
            }
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        match difference("", &found, &whole) {
            None => Ok(()),
            Some((field, was, asked)) => {
                Err(Error::OtherRun { folder: self.path.clone(), field, was, asked })
            }
        }
    }

    /// Nothing existing is overwritten: without a `run.json` nothing may be there but hidden files.
    fn check_empty(&self) -> Result<()> {
        let fault = || Error::io(&self.path, "list the result folder");
        for entry in fs::read_dir(&self.path).map_err(fault())? {
            let found = entry.map_err(fault())?.file_name().to_string_lossy().into_owned();
            if !found.starts_with('.') {
                return Err(Error::Occupied { folder: self.path.clone(), found });
            }
        }
        Ok(())
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
            write_atomically(&self.weights(name, *which), &bytes)?;
        }
        write_atomically(&self.record(name), record.to_text().as_bytes())
    }

    /// Where an arm's weights are, or will be.
    pub fn weights(&self, name: &str, which: Weights) -> PathBuf {
        self.path.join(match which {
            Weights::Last => format!("{name}.safetensors"),
            Weights::Best => format!("{name}.best.safetensors"),
        })
    }

    /// Where an arm's checkpoints are while it is trained.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.ckpt"))
    }

    /// Where the logs are.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    fn record(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.json"))
    }
}

/// The first field in which two values differ: its path, what is found, what is expected.
fn difference(path: &str, found: &Value, expected: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(found), Value::Object(expected)) = (found, expected) {
        let names = expected.keys().chain(found.keys().filter(|name| !expected.contains_key(*name)));
        return names.into_iter().find_map(|name| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let nothing = &Value::Null;
            difference(&path, found.get(name).unwrap_or(nothing), expected.get(name).unwrap_or(nothing))
        });
    }
    (found != expected).then(|| (path.to_owned(), found.to_string(), expected.to_string()))
}
