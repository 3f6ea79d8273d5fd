//! Who may write a cell, where several nodes share a folder and a dead one must not keep anything.
//!
//! Whoever starts a cell makes the file `claims/KEY.N`, N one more than the last there is, in a way in which only one can
//! (`O_EXCL`, which shared file systems have even where their locks do not work). The highest N is right. Everybody else finds
//! out when it looks, which it does every few seconds and before each write of a result, and stops. So no start ever waits
//! for another, and a batch system may start a cell again that it wrongly believes dead.
//!
//! Looking and writing are two steps. What a stale start writes in between does no harm: its checkpoints bear its own
//! number, and a record is the same whoever makes it.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use robin_training::Checkpointing;

use crate::key::Key;
use crate::out::write_shared;
use crate::record::Kind;
use crate::store::Store;
use crate::{Error, Result};

/// Claims below the result folder.
pub(crate) const CLAIMS: &str = "claims";
/// Reasons of failures below the result folder.
pub(crate) const FAILURES: &str = "failures";

/// The claims of one process.
#[derive(Debug)]
pub struct Claims {
    store: Store,
    /// Written into each claim: node, job, process.
    owner: String,
    held: Mutex<BTreeMap<Key, Claim>>,
    lost: Mutex<Option<Error>>,
}

/// The start of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    key: Key,
    kind: Kind,
    label: String,
    /// From 1.
    number: u32,
}

impl Claim {
    /// How many starts of the cell there were, this one included.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Claims {
    /// Claims in the name of `owner` below the folder of `store`.
    ///
    /// # Errors
    /// [`Error::Io`] if the folders cannot be made.
    pub fn new(store: Store, owner: impl Into<String>) -> Result<Self> {
        for name in [CLAIMS, FAILURES] {
            let folder = store.folder().join(name);
            fs::create_dir_all(&folder).map_err(Error::io(&folder, "create the folder"))?;
        }
        Ok(Self { store, owner: owner.into(), held: Mutex::default(), lost: Mutex::default() })
    }

    /// Claims a cell, whoever had it before; `None` if its record is there.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn take(&self, kind: Kind, key: &Key, label: &str) -> Result<Option<Claim>> {
        let record = self.store.record_path(kind, key);
        if record.exists() {
            return Ok(None);
        }
        let mut number = 1;
        let path = loop {
            let path = self.path(key, number);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    file.write_all(self.owner.as_bytes())
                        .and_then(|()| file.sync_all())
                        .map_err(Error::io(&path, "write the claim"))?;
                    break path;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(Error::io(&path, "claim the cell")(error)),
            }
        };
        // Its claims go with the end of a cell, so one that ended just now may look as if nobody had begun it.
        if record.exists() {
            remove(&path)?;
            return Ok(None);
        }
        remove(&self.failure(key))?;
        let claim = Claim { key: key.clone(), kind, label: label.to_owned(), number };
        lock(&self.held).insert(key.clone(), claim.clone());
        Ok(Some(claim))
    }

    /// Where the checkpoints of this start are, with those of an earlier one if it left any: that of the highest
    /// number, else that of a run without claims.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn checkpoint(&self, claim: &Claim) -> Result<PathBuf> {
        let own = self.checkpointing(&claim.key, claim.number);
        for number in (0..claim.number).rev() {
            let earlier = self.checkpointing(&claim.key, number);
            // In this order: the earlier start may still write, and then what is the last now is the previous soon.
            let last = copy(&earlier.path, &own.path)?;
            let previous = copy(&earlier.previous(), &own.previous())?;
            if last || previous {
                break;
            }
        }
        Ok(own.path)
    }

    /// Whether the cell is still this start's. If not, everything that this process does has been taken over.
    ///
    /// # Errors
    /// [`Error::Overtaken`], or [`Error::Vanished`] if the folder is gone.
    pub fn check(&self, claim: &Claim) -> Result<()> {
        let overtaken = |by: String| Error::Overtaken { label: claim.label.clone(), by };
        // A record stands before its claims are removed, so it is looked for first.
        if self.store.record_path(claim.kind, &claim.key).exists() {
            return Err(overtaken("whose record is there".to_owned()));
        }
        let next = self.path(&claim.key, claim.number + 1);
        if next.exists() {
            let owner = fs::read_to_string(&next).unwrap_or_default();
            return Err(overtaken(format!("number {}: {}", claim.number + 1, owner.trim())));
        }
        let own = self.path(&claim.key, claim.number);
        if own.exists() {
            return Ok(());
        }
        match self.store.folder().join(CLAIMS).is_dir() {
            true => Err(overtaken(format!("or {} was removed", own.display()))),
            false => Err(Error::Vanished { folder: self.store.folder().to_owned() }),
        }
    }

    /// Checks all claims that are held, and keeps the first fault.
    ///
    /// # Errors
    /// None; `false` says that there is one.
    pub(crate) fn all_hold(&self) -> bool {
        let held: Vec<Claim> = lock(&self.held).values().cloned().collect();
        for claim in held {
            // A cell that this process has finished meanwhile has a record, and is no longer held.
            if let Err(error) = self.check(&claim)
                && lock(&self.held).contains_key(&claim.key)
            {
                lock(&self.lost).get_or_insert(error);
                return false;
            }
        }
        lock(&self.lost).is_none()
    }

    /// The first claim that was lost.
    pub(crate) fn into_lost(self) -> Option<Error> {
        self.lost.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Just before a result is written: checks the claim, which from now on nobody looks at.
    ///
    /// # Errors
    /// As [`Claims::check`].
    pub(crate) fn finish(&self, claim: &Claim) -> Result<()> {
        match self.check(claim) {
            Ok(()) => {
                lock(&self.held).remove(&claim.key);
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                lock(&self.lost).get_or_insert(error);
                Err(Error::Overtaken { label: claim.label.clone(), by: text })
            }
        }
    }

    /// After the record: removes this cell's claims and checkpoints, of all starts.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub(crate) fn release(&self, claim: &Claim) -> Result<()> {
        if claim.kind == Kind::Network {
            for number in 0..=claim.number {
                let files = self.checkpointing(&claim.key, number);
                files.remove().map_err(Error::work("removing the checkpoints"))?;
            }
        }
        (1..=claim.number).try_for_each(|number| remove(&self.path(&claim.key, number)))
    }

    /// Keeps the reason why a cell failed, until it is claimed again.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub(crate) fn note_failure(&self, key: &Key, reason: &str) -> Result<()> {
        lock(&self.held).remove(key);
        write_shared(&self.failure(key), format!("{reason} ({})\n", self.owner).as_bytes())
    }

    fn path(&self, key: &Key, number: u32) -> PathBuf {
        self.store.folder().join(CLAIMS).join(format!("{key}.{number}"))
    }

    fn failure(&self, key: &Key) -> PathBuf {
        self.store.folder().join(FAILURES).join(key.as_str())
    }

    /// Files of start number `number`; 0 is a run without claims.
    fn checkpointing(&self, key: &Key, number: u32) -> Checkpointing {
        let alone = self.store.checkpoint_path(key);
        let path = if number == 0 { alone } else { alone.with_extension(format!("{number}.ckpt")) };
        Checkpointing::new(path, Duration::ZERO)
    }
}

/// Removes what stale starts left of cells whose record is there.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn sweep(store: &Store) -> Result<()> {
    for (folder, kinds) in [
        (CLAIMS, &[Kind::Network, Kind::Evaluation][..]),
        (FAILURES, &[Kind::Network, Kind::Evaluation]),
        (Kind::Network.folder(), &[Kind::Network]),
    ] {
        let folder = store.folder().join(folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::io(&folder, "list")(error)),
        };
        for entry in entries {
            let path = entry.map_err(Error::io(&folder, "list"))?.path();
            let Some((key, rest)) = path.file_name().and_then(|name| split(name.to_str()?)) else { continue };
            let temporary = !matches!(rest, "json" | "safetensors" | "last.safetensors");
            if temporary && kinds.iter().any(|&kind| store.record_path(kind, &key).exists()) {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// A file's key, and what stands behind it.
fn split(name: &str) -> Option<(Key, &str)> {
    let (key, rest) = name.split_at_checked(64)?;
    Some((Key::parse(key)?, rest.strip_prefix('.').unwrap_or(rest)))
}

fn copy(from: &Path, to: &Path) -> Result<bool> {
    match fs::read(from) {
        Ok(bytes) => write_shared(to, &bytes).map(|()| true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(from, "read the checkpoint")(error)),
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
