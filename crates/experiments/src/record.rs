//! One cell's result as a file that proves itself whole.
//!
//! The text is JSON: `format`, `kind`, `key`, `settings` and `results` depend on nothing but the key, so
//! they are byte-identical when made again; `provenance` comes last, and its last field is the SHA-256 of
//! every byte before it.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::key::{Key, sha256};
use crate::{Error, Result};

const FORMAT: &str = "robin-record/1";
const SEAL: &str = "\"sha256\": \"";
const END: &str = "\"\n  }\n}\n";

/// What a cell is: decides the folder of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A trained network, with a weight file beside its record.
    Network,
    /// A classifier under one attack and strategy, or clean.
    Evaluation,
}

impl Kind {
    /// Folder below the result folder.
    pub fn folder(self) -> &'static str {
        match self {
            Kind::Network => "networks",
            Kind::Evaluation => "evaluations",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Evaluation => "evaluation",
        }
    }
}

/// A cell's settings, results, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Network or evaluation.
    pub kind: Kind,
    /// Hash of `settings`.
    pub key: Key,
    /// Everything that decides the results.
    pub settings: Value,
    /// What came out.
    pub results: Value,
    /// Commit, machine, versions, seconds and time: everything that may differ when made again.
    pub provenance: Map<String, Value>,
}

impl Record {
    /// Whether both are the same but for their provenance.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let of = |record: &Self| {
            (record.kind, record.key.clone(), record.settings.clone(), record.results.clone())
        };
        of(self) == of(other)
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut provenance = self.provenance.clone();
        provenance.insert("sha256".to_owned(), Value::String(String::new()));
        let whole = json!({
            "format": FORMAT,
            "kind": self.kind.name(),
            "key": self.key.as_str(),
            "settings": self.settings,
            "results": self.results,
            "provenance": provenance,
        });
        let mut text = serde_json::to_string_pretty(&whole).expect("a JSON value can be written");
        text.push('\n');
        let body = text.strip_suffix(END).expect("the seal is the last field of the last object");
        format!("{body}{}{END}", sha256(body.as_bytes()))
    }

    /// Reads the text of the file `path`, which should hold the record `key`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a byte differs from what was written, if this is another record, and for one that was sealed by
    /// somebody else: with other settings than its key says, without results, or with a name twice.
    pub fn from_text(text: &str, path: &Path, kind: Kind, key: &Key) -> Result<Self> {
        let damaged = |what, expected: &str, found: &str| Error::Damaged {
            path: path.to_owned(),
            what,
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        let (body, seal) = text
            .strip_suffix(END)
            .and_then(|text| text.len().checked_sub(64).and_then(|at| text.split_at_checked(at)))
            .filter(|(body, _)| body.ends_with(SEAL))
            .ok_or_else(|| {
                damaged("end of the record", "a closing SHA-256", &format!("{} bytes without it", text.len()))
            })?;
        let actual = sha256(body.as_bytes());
        if actual != seal {
            return Err(damaged("SHA-256 of the content", seal, &actual));
        }
        let whole: Value = robin_files::json::parse(text)
            .map_err(|error| damaged("content", "JSON with every name once", &error.to_string()))?;
        for (what, expected) in [("format", FORMAT), ("kind", kind.name()), ("key", key.as_str())] {
            let found = whole[what].as_str().unwrap_or("nothing");
            if found != expected {
                return Err(damaged(what, expected, found));
            }
        }
        // The seal says that nobody changed a byte, not that the bytes belong together.
        let settings = Key::of(&whole["settings"]);
        if settings != *key {
            return Err(damaged("key of the settings", key.as_str(), settings.as_str()));
        }
        let results = match &whole["results"] {
            Value::Object(results) if !results.is_empty() => whole["results"].clone(),
            Value::Array(results) if !results.is_empty() => whole["results"].clone(),
            Value::Null => return Err(damaged("results", "what was computed", "nothing")),
            other => return Err(damaged("results", "what was computed", &other.to_string())),
        };
        let mut provenance = whole["provenance"].as_object().cloned().unwrap_or_default();
        provenance.shift_remove("sha256");
        Ok(Self { kind, key: key.clone(), settings: whole["settings"].clone(), results, provenance })
    }

    /// The result called `name`; a record may lack one that others have (`null`).
    ///
    /// # Errors
    /// [`Error::Results`] if there is none, or it is no `T`.
    pub fn result<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        serde_json::from_value(self.results[name].clone())
            .map_err(|error| self.lacks(name, error.to_string()))
    }

    /// The error about a result that is not there, or not what it should be.
    pub(crate) fn lacks(&self, name: &str, reason: String) -> Error {
        let reason = if self.results[name].is_null() { "is not there".to_owned() } else { reason };
        Error::Results { kind: self.kind.name(), key: self.key.clone(), name: name.to_owned(), reason }
    }
}
