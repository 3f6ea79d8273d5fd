//! Why there is no number.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong in an evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An attack returned an image that its budget does not allow, so nothing that it says counts.
    #[error("the attack returned an illegal image for example {index} of the data set")]
    Illegal {
        /// Position in the data set.
        index: u32,
        /// What is wrong with it; its `example` is the position in the batch.
        #[source]
        source: robin_core::Error,
    },
    /// An attack returned results for another number of examples than it was given.
    #[error("the attack was given {given} examples and returned {returned} {what}")]
    Returned {
        /// Which part of its answer.
        what: &'static str,
        /// Examples given.
        given: usize,
        /// Results returned.
        returned: usize,
    },
    /// Results of different sets of examples, which cannot be joined.
    #[error("{what} has {found} examples, expected {expected}")]
    Examples {
        /// Which one differs.
        what: &'static str,
        /// Its number of examples.
        found: usize,
        /// The number of the others.
        expected: usize,
    },
    /// No examples, so no accuracy.
    #[error("the data set is empty: there is nothing to evaluate")]
    Empty,
    /// A batch of no examples.
    #[error("batch_size is 0, allowed is >= 1")]
    BatchSize,
    /// The data set failed.
    #[error(transparent)]
    Data(#[from] robin_data::Error),
    /// The classifier, the strategy or the attack failed, or somebody asked to stop.
    #[error(transparent)]
    Core(#[from] robin_core::Error),
}

impl Error {
    /// Whether this is only somebody's wish to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Core(robin_core::Error::Cancelled))
    }
}
