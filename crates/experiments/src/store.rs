//! The result folder: records and weights, written whole or not at all.
//!
//! Layout: `networks/<key>.{json,safetensors}`, `networks/<key>.last.safetensors` where held-out images chose another
//! epoch, `networks/<key>{,.previous}.ckpt` while a network is trained, `evaluations/<key>.json`,
//! `<item>-<profile>.{json,md}`. A file is written under a temporary name in its own folder, synced, and renamed; a name that starts with
//! `.tmp` is a leftover of a killed run and means nothing.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::key::Key;
use crate::record::{Kind, Record};
use crate::role::{Epoch, weights_sha256, with_role};
use crate::{Error, Result};

/// Read access to a result folder, which need not exist.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A trained network's weights, as the bytes of safetensors files without a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// What the network's evaluations load.
    pub chosen: Vec<u8>,
    /// Those after the last epoch, where held-out images chose among the epochs.
    pub last: Option<Vec<u8>>,
}

/// The right to write into a result folder, until dropped.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    _lock: File,
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

    /// Creates the folder, locks it against a second run, and proves before any work that a file can be
    /// written and that `needed` bytes are free.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NoSpace`], or [`Error::Io`] naming the folder.
    pub fn open(self, needed: u64) -> Result<Writer> {
        for kind in [Kind::Network, Kind::Evaluation] {
            let folder = self.folder.join(kind.folder());
            fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the result folder"))?;
        }
        let lock = lock(&self.folder)?;
        for kind in [Kind::Network, Kind::Evaluation] {
            let folder = self.folder.join(kind.folder());
            tempfile::Builder::new()
                .prefix(".tmp-probe")
                .tempfile_in(&folder)
                .and_then(|mut probe| probe.write_all(b"writable"))
                .map_err(Error::io(&folder, "write into the result folder"))?;
        }
        let free =
            fs4::available_space(&self.folder).map_err(Error::io(&self.folder, "ask for the free space"))?;
        if free < needed {
            return Err(Error::NoSpace { folder: self.folder, needed, free });
        }
        Ok(Writer { store: self, _lock: lock })
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
    /// [`Error::Damaged`] if a record is already there: nothing is overwritten. [`Error::Io`] otherwise.
    pub fn save(&self, record: &Record, weights: Option<&Weights>) -> Result<()> {
        let path = self.store.record_path(record.kind, &record.key);
        if path.exists() {
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
                write_atomically(&self.store.last_weights_path(&record.key), &last)?;
            }
            let chosen = with_role(chosen, &record.settings, chosen_epoch)?;
            write_atomically(&self.store.weights_path(&record.key), &chosen)?;
        }
        write_atomically(&path, record.to_text().as_bytes())
    }

    /// Writes a rendered table, replacing an older one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_report(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.store.folder.join(name);
        write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }
}

/// Locks a result folder against a second run, until the file is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let lock = File::create(&path).map_err(Error::io(&path, "write into the result folder"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: folder.to_owned(), lock: path }),
        Err(TryLockError::Error(source)) => Err(Error::Io { path, action: "lock", source }),
    }
}

/// All of `bytes` at `path`, or what was there before.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().expect("results lie in a folder");
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-");
        // A temporary file is private; a result is for everybody whom the folder and the umask let in.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The rename itself lives in the folder: without this a power cut may undo it.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(Error::io(path, "write"))
}

#[cfg(test)]
mod tests;
