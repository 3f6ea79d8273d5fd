//! The result folder: records and weights, written whole or not at all.
//!
//! Layout: `networks/<key>.{json,safetensors}`, `networks/<key>.last.safetensors` where held-out images chose another
//! epoch, `networks/<key>{,.previous}.ckpt` while a network is trained, `evaluations/<key>.json`,
//! `<item>-<profile>.{json,md}`; on a cluster also `claims`, `failures` and `slurm` ([`crate::cluster`]). Whatever a killed run
//! has left under construction means nothing, and is swept by the next.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cell::{Cell, Weights};
use crate::key::Key;
use crate::out::{Out, check_shared, check_targets, write, write_shared};
use crate::record::{Kind, Record};
use crate::role::{Epoch, weights_sha256, with_role};
use crate::shelf::{Shelf, Start};
use crate::{Error, Result};

/// Read access to a result folder, which need not exist.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// The right to write into a result folder, until dropped.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    /// `None` where several processes write, each what it has claimed.
    out: Option<Out>,
}

impl Store {
    /// The results in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the record of `key` is, or will be.
    pub fn record_path(&self, kind: Kind, key: &Key) -> PathBuf {
        self.folder.join(kind.folder()).join(format!("{key}.json"))
    }

    /// Where the weights of the network `key` are, or will be.
    pub fn weights_path(&self, key: &Key) -> PathBuf {
        self.folder.join(Kind::Network.folder()).join(format!("{key}.safetensors"))
    }

    /// Where the weights after the last epoch are, or will be, if [`Self::weights_path`] holds the best epoch's.
    pub fn last_weights_path(&self, key: &Key) -> PathBuf {
        self.folder.join(Kind::Network.folder()).join(format!("{key}.last.safetensors"))
    }

    /// Where the checkpoint of the network `key` is while it is trained.
    pub fn checkpoint_path(&self, key: &Key) -> PathBuf {
        self.folder.join(Kind::Network.folder()).join(format!("{key}.ckpt"))
    }

    /// The record of `key`, or `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file is not, byte for byte, what was written under this key.
    pub fn load(&self, kind: Kind, key: &Key) -> Result<Option<Record>> {
        let path = self.record_path(kind, key);
        match fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|error| Error::Damaged {
                    path: path.clone(),
                    what: "content",
                    expected: "UTF-8".to_owned(),
                    found: error.to_string(),
                })?;
                Record::from_text(&text, &path, kind, key).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, action: "read", source }),
        }
    }

    /// The weights of the network `key`, whose record says that their SHA-256 without their role is `expected`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if they are missing or differ.
    pub fn load_weights(&self, key: &Key, expected: &str) -> Result<Vec<u8>> {
        let path = self.weights_path(key);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Damaged {
                    // The record is what must go: without it the network counts as not trained.
                    path: self.record_path(Kind::Network, key),
                    what: "weights beside this record",
                    expected: path.display().to_string(),
                    found: "no such file".to_owned(),
                });
            }
            Err(source) => return Err(Error::Io { path, action: "read", source }),
        };
        let found = weights_sha256(&bytes);
        if found != expected {
            return Err(Error::Damaged {
                path: self.record_path(Kind::Network, key),
                what: "SHA-256 of the weights beside this record",
                expected: expected.to_owned(),
                found,
            });
        }
        Ok(bytes)
    }

    /// Keys of one kind that have a file where their record goes; none is read.
    pub fn recorded(&self, kind: Kind) -> HashSet<Key> {
        let entries = fs::read_dir(self.folder.join(kind.folder())).into_iter().flatten();
        let key = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            Key::parse(name.to_str()?.strip_suffix(".json")?)
        };
        entries.filter_map(key).collect()
    }

    /// All well-formed records of one kind, in the order of their keys; damaged ones are left out, because
    /// this list only serves to say which cells are stale.
    pub fn readable(&self, kind: Kind) -> Vec<Record> {
        let mut names: Vec<PathBuf> = fs::read_dir(self.folder.join(kind.folder()))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        names.sort();
        names
            .iter()
            .filter_map(|path| {
                let key: Key = serde_json::from_value(path.file_stem()?.to_str()?.into()).ok()?;
                self.load(kind, &key).ok().flatten()
            })
            .collect()
    }

    /// Creates the folder, locks it against a second run, sweeps what killed runs have left, and proves before any work
    /// that files can be written and that `needed` bytes are free.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NoSpace`], [`Error::Link`], or [`Error::Io`] naming the folder.
    pub fn open(self, needed: u64) -> Result<Writer> {
        let out = Out::open(&self.folder, needed)?;
        for kind in [Kind::Network, Kind::Evaluation] {
            out.folder(kind.folder())?;
        }
        self.sweep_checkpoints();
        Ok(Writer { store: self, out: Some(out) })
    }

    /// The same without a lock and without sweeping, for processes on several nodes that claim what they write
    /// ([`crate::cluster::claim`]): a shared file system may have no locks that work, and what looks left over may be written
    /// elsewhere.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Link`], or [`Error::Io`] naming the folder.
    pub fn open_shared(self, needed: u64) -> Result<Writer> {
        let folders = [Kind::Network, Kind::Evaluation].map(Kind::folder);
        check_shared(&self.folder, &folders, needed)?;
        Ok(Writer { store: self, out: None })
    }

    /// Removes the checkpoints of networks that are there whole: a run was killed after its record and before this. Those
    /// of unfinished networks stay, whatever plan they are of: somebody may go on with them.
    fn sweep_checkpoints(&self) {
        let entries = fs::read_dir(self.folder.join(Kind::Network.folder())).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some((key, rest)) = name.split_once('.') else { continue };
            let Some(key) = Key::parse(key) else { continue };
            let left = match rest {
                "ckpt" | "previous.ckpt" => self.is_whole(&key),
                // How checkpoints under construction were called once.
                "ckpt.tmp" => true,
                _ => false,
            };
            if left && let Err(error) = fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "a leftover could not be removed");
            }
        }
    }

    /// Whether the network `key` is there with its weights.
    fn is_whole(&self, key: &Key) -> bool {
        let record = self.load(Kind::Network, key).ok().flatten();
        let weights = record.as_ref().and_then(|record| record.results["weights_sha256"].as_str());
        weights.is_some_and(|expected| self.load_weights(key, expected).is_ok())
    }

    /// Refuses what stands in the way of the files that the cell `key` will be saved as.
    ///
    /// # Errors
    /// [`Error::Io`] naming the first folder in the place of a file.
    pub(crate) fn check_targets(&self, kind: Kind, key: &Key) -> Result<()> {
        let network = match kind {
            Kind::Network => vec![
                self.weights_path(key),
                self.last_weights_path(key),
                self.checkpoint_path(key),
                self.checkpoint_path(key).with_extension("previous.ckpt"),
            ],
            Kind::Evaluation => Vec::new(),
        };
        check_targets(network.into_iter().chain([self.record_path(kind, key)]))
    }
}

impl Writer {
    /// Read access.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes a record. With `weights` they are written first, so that a record never stands without them, and each with the
    /// role that the record gives it.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a record is already there, in a shared folder one that says anything else: nothing is
    /// overwritten. [`Error::Io`] otherwise.
    pub fn save(&self, record: &Record, weights: Option<&Weights>) -> Result<()> {
        let path = self.store.record_path(record.kind, &record.key);
        if path.exists() {
            // Where several processes write, another may have been as far at the same moment.
            let shared = self.out.is_none();
            if shared && self.store.load(record.kind, &record.key)?.is_some_and(|there| there.says(record)) {
                return Ok(());
            }
            return Err(Error::Damaged {
                path,
                what: "record",
                expected: "no file before this cell was finished".to_owned(),
                found: "a file".to_owned(),
            });
        }
        if let Some(Weights { chosen, last }) = weights {
            let chosen_epoch = if last.is_some() { Epoch::Best } else { Epoch::Last };
            if let Some(last) = last {
                let last = with_role(last, &record.settings, Epoch::Last)?;
                self.write(&self.store.last_weights_path(&record.key), &last)?;
            }
            let chosen = with_role(chosen, &record.settings, chosen_epoch)?;
            self.write(&self.store.weights_path(&record.key), &chosen)?;
        }
        self.write(&path, record.to_text().as_bytes())?;
        tracing::info!(key = %record.key, "record written");
        Ok(())
    }

    /// Refuses what stands in the way of [`Writer::save_report`]'s `NAME.json` and `NAME.md`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the first folder in the place of a file.
    pub(crate) fn check_reports(&self, names: impl Iterator<Item = String>) -> Result<()> {
        let files = names.flat_map(|name| [format!("{name}.json"), format!("{name}.md")]);
        check_targets(files.map(|name| self.store.folder.join(name)))
    }

    /// Writes a rendered table, replacing an older one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_report(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.store.folder.join(name);
        self.write(&path, text.as_bytes())?;
        Ok(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        match self.out {
            Some(_) => write(path, bytes),
            None => write_shared(path, bytes),
        }
    }
}

impl Shelf for Writer {
    type Begun = ();

    fn weights(&self, cell: &Cell, sha256: &str) -> Result<Vec<u8>> {
        self.store.load_weights(&cell.key, sha256)
    }

    fn begin(&self, cell: &Cell) -> Result<Start<()>> {
        let checkpoint = self.store.checkpoint_path(&cell.key);
        Ok(Start::Here { begun: (), checkpoint, logs: None })
    }

    fn save(&self, _: &Cell, (): &(), record: &Record, weights: Option<&Weights>) -> Result<()> {
        self.save(record, weights)
    }
}

#[cfg(test)]
mod tests;
