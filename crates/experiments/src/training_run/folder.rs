//! What a training leaves on disk, and what it finds there when it is given again.
//!
//! `run.json` (settings), and for each arm `ARM.safetensors` (after the last epoch), `ARM.best.safetensors` (of the
//! best epoch, where images are held out), `ARM.json` (its record, written last: an arm with one is finished),
//! `ARM.ckpt` and `ARM.previous.ckpt` until then, and the [`crate::logs`] in `logs/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use robin_training::Checkpointing;
use serde_json::{Value, json};

use super::TrainingRun;
use crate::cell::{Cell, Weights};
use crate::logs::{self, Logs};
use crate::out::{Out, anything, check_targets, write};
use crate::record::{Kind, Record};
use crate::role::{Epoch, weights_sha256, with_role};
use crate::shelf::{Shelf, Start};
use crate::{Error, Result};

const FORMAT: &str = "robin-training-run/1";

/// The right to write into a training's folder, until dropped.
#[derive(Debug)]
pub struct Folder {
    out: Out,
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
        for Cell { label: name, .. } in &run.cells {
            folder.out.folder(Path::new("logs").join(name))?;
            let files = [
                folder.record(name),
                folder.weights(name, Epoch::Last),
                folder.weights(name, Epoch::Best),
                folder.checkpoint(name),
                folder.checkpoint(name).with_extension("previous.ckpt"),
            ];
            check_targets(files.into_iter().chain(logs::paths(&logs, name)))?;
        }
        Ok(folder)
    }

    /// The record of `cell` if it is finished. What a run that was killed behind it has left is removed, and logs that could not
    /// be written are made whole.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the record, or the weights beside it, are not what was written.
    pub(crate) fn finished(&self, cell: &Cell) -> Result<Option<Record>> {
        let name = &cell.label;
        let path = self.record(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        let record = Record::from_text(&text, &path, Kind::Network, &cell.key)?;
        for (epoch, expected) in promised(&record) {
            let weights = self.weights(name, epoch);
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
        self.remove_checkpoints(name)?;
        Logs::mend(&self.logs(), name, &record.result::<Vec<_>>("epochs")?)?;
        Ok(Some(record))
    }

    fn remove_checkpoints(&self, name: &str) -> Result<()> {
        let checkpoints = Checkpointing::new(self.checkpoint(name), Duration::ZERO);
        checkpoints.remove().map_err(Error::work("removing the checkpoints"))
    }

    /// Where an arm's weights are, or will be.
    pub fn weights(&self, name: &str, epoch: Epoch) -> PathBuf {
        self.out.path().join(match epoch {
            Epoch::Last => format!("{name}.safetensors"),
            Epoch::Best => format!("{name}.best.safetensors"),
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

/// The SHA-256s that a finished network's record promises of its files.
fn promised(record: &Record) -> Vec<(Epoch, &str)> {
    fn sha256(of: &Value) -> Option<&str> {
        of["weights_sha256"].as_str()
    }
    let results = &record.results;
    let (chosen, best, last) = (sha256(results), sha256(&results["best"]), sha256(&results["last"]));
    let files = match (best, last) {
        // As it was written before records of trainings and of tables said the same.
        (Some(best), _) => [(Epoch::Last, chosen), (Epoch::Best, Some(best))],
        (None, Some(last)) => [(Epoch::Last, Some(last)), (Epoch::Best, chosen)],
        (None, None) => [(Epoch::Last, chosen), (Epoch::Best, None)],
    };
    files.into_iter().filter_map(|(epoch, sha256)| Some((epoch, sha256?))).collect()
}

impl Shelf for Folder {
    type Begun = ();

    fn weights(&self, cell: &Cell, _sha256: &str) -> Result<Vec<u8>> {
        unreachable!("no network of a training needs another, such as {}", cell.label)
    }

    fn begin(&self, cell: &Cell) -> Result<Start<()>> {
        let (checkpoint, logs) = (self.checkpoint(&cell.label), Some(self.logs()));
        Ok(Start::Here { begun: (), checkpoint, logs })
    }

    /// Writes the weights, each with its role, then the record that says that the network is finished.
    fn save(&self, cell: &Cell, (): &(), record: &Record, weights: Option<&Weights>) -> Result<()> {
        let name = &cell.label;
        if let Some(Weights { chosen, last }) = weights {
            let files = match last {
                Some(last) => vec![(Epoch::Last, last), (Epoch::Best, chosen)],
                None => vec![(Epoch::Last, chosen)],
            };
            for (epoch, bytes) in files {
                write(&self.weights(name, epoch), &with_role(bytes, &record.settings, epoch)?)?;
            }
        }
        write(&self.record(name), record.to_text().as_bytes())
    }
}
