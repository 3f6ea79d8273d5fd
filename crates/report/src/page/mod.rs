//! The report as one page of HTML that needs nothing else: styles, figures and images are inside.
//!
//! What is shown is prepared here as plain text and numbers; how it looks is in `templates/`. The templates
//! escape every text; only drawings, which escape their own, are put in as they are.

mod figures;
mod galleries;
mod tables;

use askama::Template;
use robin_experiments::record::{Kind, Record};
use robin_experiments::{Item, Profile, Verdict, item};
use serde_json::Value;

use self::figures::FigureView;
use self::galleries::GalleryView;
use self::tables::TableView;
use crate::error::Result;
use crate::report::Report;

/// Whether the item's table or a figure of it says `note`.
fn is_said(item: &Item, note: &String) -> bool {
    let table = item.table.as_ref().is_some_and(|table| table.run.notes.contains(note));
    table || item.figures.iter().any(|figure| figure.notes.contains(note))
}

/// The page.
///
/// # Errors
/// What cannot be shown: see [`crate::Error`].
pub fn html(report: &Report) -> Result<String> {
    report.check()?;
    let items = report
        .items
        .iter()
        .map(|item| {
            Ok(ItemView {
                name: &item.name,
                title: &item.title,
                notes: item.notes.iter().filter(|note| !is_said(item, note)).collect(),
                values: item.values.iter().map(ValueView::new).collect(),
                table: item.table.as_ref().map(TableView::new).transpose()?,
                figures: item.figures.iter().map(FigureView::new).collect::<Result<_>>()?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let claims = report
        .claims
        .iter()
        .map(|claim| ClaimView {
            id: &claim.id,
            text: &claim.text,
            verdict: claim.verdict.name(),
            class: match claim.verdict {
                Verdict::Held => "held",
                Verdict::Refuted | Verdict::DependsOnReading => "refuted",
                Verdict::Undecided | Verdict::NotTestable => "open",
            },
            summary: &claim.summary,
            needs: claim.needs.as_deref(),
            numbers: &claim.numbers,
            records: &claim.records,
        })
        .collect();
    let page = Page {
        title: &report.title,
        profile: report.profile.to_string(),
        comparable: report.profile == Profile::Paper,
        provenance: &report.provenance,
        items,
        claims,
        galleries: report.galleries.iter().map(GalleryView::new).collect::<Result<_>>()?,
        records: report.named_records().map(RecordView::new).collect(),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    profile: String,
    comparable: bool,
    provenance: &'a [(String, String)],
    items: Vec<ItemView<'a>>,
    claims: Vec<ClaimView<'a>>,
    galleries: Vec<GalleryView<'a>>,
    records: Vec<RecordView>,
}

struct ItemView<'a> {
    name: &'a str,
    title: &'a str,
    notes: Vec<&'a String>,
    values: Vec<ValueView<'a>>,
    table: Option<TableView<'a>>,
    figures: Vec<FigureView<'a>>,
}

/// A number that is no accuracy.
struct ValueView<'a> {
    value: &'a item::Value,
    text: String,
    interval: String,
}

impl<'a> ValueView<'a> {
    fn new(value: &'a item::Value) -> Self {
        let item::Value { value: middle, error, .. } = value;
        Self {
            value,
            text: format!("{middle:.4}"),
            interval: format!("{:.4}–{:.4}", middle - error, middle + error),
        }
    }
}

struct ClaimView<'a> {
    id: &'a str,
    text: &'a str,
    verdict: &'static str,
    class: &'static str,
    /// The verdict with what must be said beside it.
    summary: &'a str,
    /// What would decide it.
    needs: Option<&'a str>,
    numbers: &'a [String],
    records: &'a [String],
}

/// A record, short enough for a page; the file has all of it.
struct RecordView {
    key: String,
    label: String,
    path: String,
    settings: String,
    results: String,
    provenance: String,
}

/// Longer texts and lists than this are for the file.
const LONGEST: usize = 300;

impl RecordView {
    fn new(record: &Record) -> Self {
        let pretty = |value: &Value| format!("{value:#}");
        let label = record.provenance.get("label").and_then(Value::as_str).unwrap_or_default();
        let kind = match record.kind {
            Kind::Network => "network",
            Kind::Evaluation => "evaluation",
        };
        Self {
            key: record.key.to_string(),
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

#[cfg(test)]
mod tests;
