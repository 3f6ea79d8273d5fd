//! Records on the page, folded.

use robin_experiments::record::{Kind, Record};
use serde_json::Value;

/// A record, short enough for a page; the file has all of it.
pub(super) struct RecordView {
    pub(super) key: String,
    pub(super) short: String,
    pub(super) label: String,
    pub(super) path: String,
    pub(super) settings: String,
    pub(super) results: String,
    pub(super) provenance: String,
}

/// Longer texts and lists than this are for the file.
const LONGEST: usize = 300;

impl RecordView {
    pub(super) fn new(record: &Record) -> Self {
        let pretty = |value: &Value| format!("{value:#}");
        let label = record.provenance.get("label").and_then(Value::as_str).unwrap_or_default();
        let kind = match record.kind {
            Kind::Network => "network",
            Kind::Evaluation => "evaluation",
        };
        Self {
            key: record.key.to_string(),
            short: super::RecordLink::new(record.key.as_str()).short.to_owned(),
            label: format!("{kind} {label}"),
            // From the folder `report` beside the folders of records.
            path: format!("../{}/{}.json", record.kind.folder(), record.key),
            settings: pretty(&shortened(&record.settings)),
            results: pretty(&shortened(&record.results)),
            provenance: pretty(&Value::Object(record.provenance.clone())),
        }
    }
}

/// `value` with what is long left out, and said to be.
fn shortened(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), shortened(value))).collect()
        }
        Value::String(text) if text.len() > LONGEST => {
            Value::String(format!("({} letters, in the file)", text.len()))
        }
        Value::Array(list) => match value.to_string().len() {
            length if length > LONGEST => Value::String(format!("({} values, in the file)", list.len())),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}
