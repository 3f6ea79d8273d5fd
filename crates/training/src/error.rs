//! What can stop a training.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of settings, data and the loop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting outside what is allowed.
    #[error("training: {field} is {value}, allowed is {allowed}")]
    Setting {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A network whose outputs do not match the classes to be learned.
    #[error("training: the network has {outputs} outputs, the labels have {classes} classes")]
    Classes {
        /// Outputs of the network.
        outputs: usize,
        /// Classes of the labels.
        classes: usize,
    },
    /// A loss or logit that is no number.
    #[error(
        "training: the loss is not finite in epoch {epoch}, step {step}: the learning rate may be too high"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step in the epoch, from 1.
        step: usize,
        /// What was found.
        #[source]
        source: robin_core::Error,
    },
    /// The data set could not serve a batch.
    #[error(transparent)]
    Data(#[from] robin_data::Error),
    /// The network failed.
    #[error(transparent)]
    Network(#[from] robin_nn::Error),
    /// The training attack cannot be built.
    #[error(transparent)]
    Attack(#[from] robin_attacks::Error),
    /// An attack or a loss failed, or somebody asked to stop.
    #[error(transparent)]
    Core(#[from] robin_core::Error),
}

impl Error {
    /// Whether this is the answer to a request to stop.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Core(robin_core::Error::Cancelled))
    }
}
