//! What can be wrong with a network, its weights or its inputs.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of building, loading and running networks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer that does not fit what comes before it.
    #[error("{graph}: layer {layer} does not fit its input {input:?}: {reason}")]
    Layer {
        /// The architecture.
        graph: String,
        /// The layer.
        layer: String,
        /// `[c, h, w]`, or `[features]` after flattening.
        input: Vec<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A layer that an executor does not run.
    #[error("{graph}: the executor {executor} does not run layer {layer}; `candle` runs every layer")]
    Unsupported {
        /// What was to run it.
        executor: &'static str,
        /// The architecture.
        graph: String,
        /// The layer.
        layer: String,
    },
    /// Weights that do not belong to the architecture.
    #[error("{file}: weights do not fit {graph}: {}", faults.join("; "))]
    Weights {
        /// Where the weights came from.
        file: String,
        /// The architecture.
        graph: String,
        /// Every tensor that is missing, too many or of another shape.
        faults: Vec<String>,
    },
    /// A file that is no safetensors file.
    #[error("{file}: not a readable safetensors file")]
    Safetensors {
        /// The file.
        file: String,
        /// The parser's word.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Images of another shape than the network's input.
    #[error("images have shape {found:?}, {graph} takes [n, {}, {}, {}]", expected[0], expected[1], expected[2])]
    Images {
        /// The architecture.
        graph: String,
        /// The images' shape.
        found: Vec<usize>,
        /// `[c, h, w]`.
        expected: [usize; 3],
    },
    /// A training step in which a batch norm sees less than two values per channel.
    #[error(
        "{graph}: batch norm {layer} has less than two values per channel, and so no variance: more images"
    )]
    BatchStatistics {
        /// The architecture.
        graph: String,
        /// The layer.
        layer: String,
    },
    /// A training step on a device without a data set.
    #[error("no data set was put on the device")]
    NoData,
    /// A device failed: in the words of the crate that its executor comes from.
    #[error(transparent)]
    Device(Box<dyn std::error::Error + Send + Sync>),
    /// A name that no executor has.
    #[error("executor {name:?} is unknown (one of: {})", valid.join(", "))]
    UnknownExecutor {
        /// What was asked for.
        name: String,
        /// What there is.
        valid: Vec<&'static str>,
    },
    /// A failure in the vocabulary's own operations, or in a loss.
    #[error(transparent)]
    Core(#[from] robin_core::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

impl From<Error> for robin_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            Error::Tensor(error) => robin_core::Error::Tensor(error),
            other => robin_core::Error::Classifier(Box::new(other)),
        }
    }
}
