//! What a stopped training leaves behind: one sealed file, and the one before it.
//!
//! `NAME.ckpt` is the last checkpoint, `NAME.previous.ckpt` the one before. A new one is written [aside](robin_data::temporary_file),
//! synced and read back; then the last one is renamed to be the previous one, and the new one to be the last. So at every
//! moment one of the two is whole. One process at a time may use a name; whoever calls sees to that.

mod content;
mod identity;
mod seal;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use robin_data::temporary_file::Aside;
use robin_nn::Parameters;

use crate::state::State;
use crate::{Error, Result};
pub(crate) use content::Content;
pub(crate) use identity::Identity;

/// Bytes of the longest checkpoint that is read: four networks of the largest size that is trained.
const LONGEST: u64 = 1 << 35;

/// Where checkpoints are written, and when.
#[derive(Debug, Clone)]
pub struct Checkpointing {
    /// The file, by custom `NAME.ckpt`, in a folder that exists.
    pub path: PathBuf,
    /// The least time from one to the next.
    pub every: Duration,
    /// For those who want one now.
    pub asked: SaveToken,
}

/// Shared between trainings and those who may ask all of them for a checkpoint now, after which they go on.
#[derive(Debug, Clone, Default)]
pub struct SaveToken(Arc<AtomicU64>);

/// How a training began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Continued {
    /// The checkpoint that was used; none if the training began at its beginning.
    pub from: Option<PathBuf>,
    /// Epochs that were over.
    pub epoch: usize,
    /// Steps that were done of the next.
    pub step: usize,
    /// A newer checkpoint that was not whole.
    pub damaged: Option<PathBuf>,
}

impl SaveToken {
    /// A token of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every training that has a clone for one checkpoint.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Checkpointing {
    /// Checkpoints at `path`, not more often than `every`.
    pub fn new(path: impl Into<PathBuf>, every: Duration) -> Self {
        Self { path: path.into(), every, asked: SaveToken::new() }
    }

    /// Where the checkpoint before the last one is.
    pub fn previous(&self) -> PathBuf {
        self.path.with_extension("previous.ckpt")
    }

    /// Removes every file of this name. None is an error that is not there.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn remove(&self) -> Result<()> {
        for path in [self.path.clone(), self.previous()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(io(&path, "remove the checkpoint")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The files of one training while it runs.
#[derive(Debug)]
pub(crate) struct Files {
    checkpointing: Checkpointing,
    identity: Identity,
    /// Requests that were answered.
    answered: u64,
    /// The newest whole checkpoint.
    last: Option<PathBuf>,
}

/// A checkpoint of the training that was asked for.
pub(crate) struct Found {
    pub(crate) content: Content,
    pub(crate) path: PathBuf,
    /// A newer one that is not whole, and why.
    pub(crate) damaged: Option<(PathBuf, String)>,
}

impl Files {
    /// Reads what is there, and refuses another training's.
    pub(crate) fn open(checkpointing: Checkpointing, identity: Identity) -> Result<(Self, Option<Found>)> {
        let (current, previous) = (checkpointing.path.clone(), checkpointing.previous());
        let mut damaged = None;
        let found = match read(&current)? {
            Some(Ok(content)) => Some((content, current)),
            newest => {
                damaged = newest.and_then(Result::err).map(|reason| (current, reason));
                match (read(&previous)?, &damaged) {
                    (Some(Ok(content)), _) => Some((content, previous)),
                    (_, Some((path, reason))) => {
                        return Err(Error::Damaged { path: path.clone(), reason: reason.clone() });
                    }
                    (Some(Err(reason)), None) => return Err(Error::Damaged { path: previous, reason }),
                    (None, None) => None,
                }
            }
        };
        let answered = checkpointing.asked.count();
        let last = found.as_ref().map(|(_, path)| path.clone());
        if let Some((content, path)) = &found {
            identity.check(content.identity(), path)?;
        }
        let found = found.map(|(content, path)| Found { content, path, damaged });
        Ok((Self { checkpointing, identity, answered, last }, found))
    }

    /// The newest whole checkpoint.
    pub(crate) fn last(&self) -> Option<PathBuf> {
        self.last.clone()
    }

    /// Whether a checkpoint should be written, `since` the last one.
    pub(crate) fn is_due(&mut self, since: Duration) -> bool {
        let asked = self.checkpointing.asked.count();
        let due = since >= self.checkpointing.every || asked != self.answered;
        self.answered = asked;
        due
    }

    /// Writes a checkpoint and moves the last one to where the previous one was.
    pub(crate) fn save(&mut self, parameters: &Parameters, state: &State) -> Result<()> {
        let bytes = content::encode(&self.identity, parameters, state)?;
        let path = &self.checkpointing.path;
        let mut aside = Aside::create(path).map_err(io(path, "write the checkpoint"))?;
        aside
            .write_all(&bytes)
            .and_then(|()| aside.sync())
            .map_err(io(aside.path(), "write the checkpoint"))?;
        let written = aside.contents().map_err(io(aside.path(), "read the checkpoint back"))?;
        if let Err(reason) = Content::decode(&written) {
            return Err(Error::Damaged { path: aside.path().to_owned(), reason });
        }
        // Only a whole one becomes the previous one: a damaged last one is replaced, and the previous one kept.
        if self.last.as_ref() == Some(path) {
            let previous = self.checkpointing.previous();
            match fs::rename(path, &previous) {
                // Somebody has removed it, and this is the next one.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                renamed => renamed.map_err(io(path, "rename the checkpoint"))?,
            }
            self.last = Some(previous);
        }
        aside.persist().map_err(io(path, "write the checkpoint"))?;
        self.last = Some(path.clone());
        tracing::debug!(path = %path.display(), bytes = bytes.len(), "checkpoint written");
        Ok(())
    }
}

/// Any bytes as a checkpoint, and as one with a seal that is made right: for tests and `cargo fuzz`.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    if let Ok(content) = Content::decode(bytes) {
        let tensors = content.shapes();
        let fresh = State::before(0.9, 5e-4, 2);
        let _ = content.into_state(&tensors, &fresh);
    }
}

/// As [`fuzz`], behind a seal that is made right.
#[doc(hidden)]
pub fn fuzz_sealed(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    if seal::reset(&mut bytes) {
        seal::close(&mut bytes);
    }
    fuzz(&bytes);
}

/// The checkpoint at `path`, or why it is none; nothing if there is no file.
fn read(path: &Path) -> Result<Option<Result<Content, String>>> {
    match robin_files::read(path, LONGEST) {
        Ok(bytes) => Ok(Some(Content::decode(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(path, "read the checkpoint")(error)),
    }
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { path, action, source }
}
