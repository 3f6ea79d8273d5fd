//! How an evaluation is run; nothing here can change its result.

use robin_core::CancelToken;

use crate::{Error, Result};

/// Most examples of a batch, all of whose images and activations are in memory at once.
pub const MOST_BATCH: usize = 1 << 16;

/// Batch size, a way to stop, and somebody to tell.
pub struct Options<'a> {
    /// Examples per batch, 1 to [`MOST_BATCH`]. Decides memory and speed, never a number.
    pub batch_size: usize,
    /// Looked at between batches and between an attack's steps.
    pub cancel: &'a CancelToken,
    /// Told after every batch; `&mut ()` listens to nothing.
    pub observer: &'a mut dyn Observer,
}

/// Cuts `examples` into batches, or says why it cannot be done.
pub(crate) fn batches(batch_size: usize, examples: &[u32]) -> Result<std::slice::Chunks<'_, u32>> {
    match batch_size {
        1..=MOST_BATCH => Ok(examples.chunks(batch_size)),
        asked => Err(Error::BatchSize { asked }),
    }
}

/// Hears how far an evaluation is.
pub trait Observer: Send {
    /// After each batch.
    fn progress(&mut self, _progress: &Progress) {}
}

impl Observer for () {}

/// How far an evaluation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Examples decided.
    pub done: usize,
    /// Examples in all.
    pub of: usize,
    /// Examples misclassified so far, those misclassified clean included.
    pub misclassified: usize,
}
