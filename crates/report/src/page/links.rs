//! What the page leads to: records by short names, and files that are inside the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Letters of a key that are shown; the whole key is the link.
const SHOWN: usize = 8;

/// A link to a record on the page.
pub(super) struct RecordLink<'a> {
    pub(super) key: &'a str,
    pub(super) short: &'a str,
}

impl<'a> RecordLink<'a> {
    pub(super) fn new(key: &'a str) -> Self {
        Self { key, short: key.get(..SHOWN).unwrap_or(key) }
    }

    pub(super) fn all(keys: &'a [String]) -> Vec<Self> {
        keys.iter().map(|key| Self::new(key)).collect()
    }
}

/// A file that stands beside an item, and that the page carries with it.
pub(super) struct FileLink {
    /// What is read: `CSV`.
    pub(super) kind: &'static str,
    /// What it is saved as.
    pub(super) name: String,
    /// The file itself as an address.
    pub(super) address: String,
}

impl FileLink {
    pub(super) fn new(kind: &'static str, name: String, media: &str, bytes: &[u8]) -> Self {
        Self { kind, name, address: format!("data:{media};base64,{}", STANDARD.encode(bytes)) }
    }
}
