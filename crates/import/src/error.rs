//! What can be wrong with a file from elsewhere.

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a file does not become a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that cannot be read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Bytes that are not what the format asks for.
    #[error("{file}: no readable {format}: {reason}")]
    Format {
        /// The file.
        file: String,
        /// What it should be.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An operator, or a setting of one, that no executor here runs.
    #[error("{file}: node {node:?} ({operator}): {reason}")]
    Node {
        /// The file.
        file: String,
        /// The node's name; of a nameless one its output.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// A model that is no classifier of images.
    #[error("{file}: {reason}")]
    Model {
        /// The file.
        file: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// A pickle that names something to be run when it is loaded.
    #[error(
        "{file}: its pickle names {name} to be run; nothing of it was run. Only tensors are read: save the \
         `state_dict()` alone, by a program that you trust"
    )]
    Code {
        /// The file.
        file: String,
        /// Module and name.
        name: String,
    },
    /// Tensors that are not those of the architecture. At most five lines.
    #[error("{0}")]
    Names(String),
    /// Layers that do not fit together.
    #[error(transparent)]
    Network(#[from] robin_nn::Error),
    /// An architecture that cannot be built.
    #[error(transparent)]
    Architecture(#[from] robin_models::Error),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// The beginning of a text out of a file that may be hostile, on one line.
pub(crate) fn clip(text: &str) -> String {
    const MOST: usize = 80;
    let visible = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    let mut clipped: String = text.chars().take(MOST).map(visible).collect();
    if text.chars().nth(MOST).is_some() {
        clipped.push_str("...");
    }
    clipped
}
