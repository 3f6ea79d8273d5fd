//! What can stop a training.

use std::path::PathBuf;

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
        allowed: String,
    },
    /// A network whose outputs do not match the classes to be learned.
    #[error("training: the network has {outputs} outputs, the labels have {classes} classes")]
    Classes {
        /// Outputs of the network.
        outputs: usize,
        /// Classes of the labels.
        classes: usize,
    },
    /// A loss, logit or gradient that is no number.
    #[error(
        "training: not finite in epoch {epoch}, step {step}: {found}; the learning rate may be too high \
         (examples {}; last checkpoint: {})",
        few(examples),
        checkpoint.as_ref().map_or("none".to_owned(), |path| path.display().to_string())
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step in the epoch, from 1.
        step: usize,
        /// What was found.
        found: String,
        /// The batch's examples, by their place in the data set.
        examples: Vec<u32>,
        /// The last checkpoint that was written.
        checkpoint: Option<PathBuf>,
    },
    /// A checkpoint that is not, byte for byte, what was written, with none before it that is.
    #[error("{}: no whole checkpoint: {reason}; delete it to begin again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint of another training.
    #[error(
        "{}: checkpoint of another training: {field} was {found}, expected {expected}; delete it to begin again",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The first field that differs.
        field: String,
        /// Its value in the checkpoint.
        found: String,
        /// Its value now.
        expected: String,
    },
    /// A file operation that failed.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A state that cannot be written.
    #[error("training: the checkpoint cannot be put together")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
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
        matches!(
            self,
            Error::Core(robin_core::Error::Cancelled)
                | Error::Network(robin_nn::Error::Core(robin_core::Error::Cancelled))
        )
    }
}

/// The first few of `examples`, and how many more there are.
fn few(examples: &[u32]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = examples.iter().take(SHOWN).map(u32::to_string).collect();
    match examples.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
