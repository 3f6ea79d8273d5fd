//! What an engine asks of the folder that its results go to.

use std::path::PathBuf;

use robin_training::Checkpointing;

use crate::cell::{Cell, Weights};
use crate::record::Record;
use crate::{Error, Result};

/// Where an engine finds and leaves what cells come to: the paper's results, the same on many nodes, or a training's own folder.
pub(crate) trait Shelf: Sync {
    /// What is remembered of a cell while it is computed.
    type Begun: Send;

    /// Whether a result that could not be written is lost, because nobody sees it before others need it.
    const SHARED: bool = false;

    /// The weights of a finished network, whose record says that their SHA-256 without their role is `sha256`.
    fn weights(&self, cell: &Cell, sha256: &str) -> Result<Vec<u8>>;

    /// Lets a cell begin.
    fn begin(&self, cell: &Cell) -> Result<Start<Self::Begun>>;

    /// Writes what it has come to, the record last.
    fn save(
        &self,
        cell: &Cell,
        begun: &Self::Begun,
        record: &Record,
        weights: Option<&Weights>,
    ) -> Result<()>;

    /// Removes what a finished cell needs no more. Called after the record is there, so that no moment is without either.
    fn release(&self, _begun: &Self::Begun, checkpointing: &Checkpointing) -> Result<()> {
        checkpointing.remove().map_err(Error::work("removing the checkpoints"))
    }
}

/// Whether a cell is to be computed.
pub(crate) enum Start<B> {
    /// It is.
    Here {
        /// What is remembered of it.
        begun: B,
        /// Where its checkpoint is, or will be.
        checkpoint: PathBuf,
        /// Folder of its logs, where some are kept.
        logs: Option<PathBuf>,
    },
    /// Somebody else has finished it since this run began.
    Elsewhere(Record),
}
