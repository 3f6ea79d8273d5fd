//! The report as one page of HTML that needs nothing else: styles, figures, images and files are inside.
//!
//! What is shown is prepared here as plain text and numbers; how it looks is in `templates/`. The templates
//! escape every text; only drawings, which escape their own, are put in as they are. The order is that of a reader who has
//! a minute: the finding, each claim with its figure, the tables, and at the end, folded, the records.

mod figures;
mod findings;
mod galleries;
mod links;
mod records;
mod tables;

use askama::Template;
use robin_experiments::{Item, Verdict, item};

use self::figures::FigureView;
use self::findings::{ClaimView, FindingView};
use self::galleries::GalleryView;
use self::links::{FileLink, RecordLink};
use self::records::RecordView;
use self::tables::TableView;
use crate::cite::bibtex;
use crate::error::Result;
use crate::live::Live;
use crate::report::Report;
use crate::{finding, sheet};

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
    let (numbered, silent): (Vec<_>, Vec<_>) = report
        .claims
        .iter()
        .partition(|claim| claim.verdict != Verdict::NotTestable || !claim.records.is_empty());
    let mut galleries = report.galleries.iter().map(GalleryView::new).collect::<Result<Vec<_>>>()?;
    // What tells the classifiers apart comes first.
    galleries.sort_by_key(|view| view.examples.iter().all(|example| example.only.is_empty()));
    let claims = |which: Vec<_>| which.into_iter().map(ClaimView::new).collect::<Result<Vec<_>>>();
    let page = Page {
        title: &report.title,
        comparability: finding::comparability(report.profile),
        finding: FindingView::new(report)?,
        files: forest_files(report)?,
        cite: bibtex(report, "finding"),
        claims: claims(numbered)?,
        silent: claims(silent)?,
        provenance: &report.provenance,
        items: report.items.iter().map(|item| ItemView::new(report, item)).collect::<Result<_>>()?,
        more: &report.more,
        galleries,
        records: report.named_records().map(RecordView::new).collect(),
        live: report.live.as_ref(),
    };
    Ok(page.render()?)
}

/// The forest plot as a file.
fn forest_files(report: &Report) -> Result<Vec<FileLink>> {
    let svg = finding::file(&report.forest, report.profile)?;
    Ok(svg.map(|(drawing, heading)| svg_link("forest", &drawing.file(&heading))).into_iter().collect())
}

fn svg_link(name: &str, svg: &str) -> FileLink {
    FileLink::new("SVG", format!("{name}.svg"), "image/svg+xml", svg.as_bytes())
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    comparability: String,
    finding: FindingView<'a>,
    files: Vec<FileLink>,
    cite: String,
    claims: Vec<ClaimView<'a>>,
    /// Claims that these numbers say nothing of.
    silent: Vec<ClaimView<'a>>,
    provenance: &'a [(String, String)],
    items: Vec<ItemView<'a>>,
    more: &'a [String],
    galleries: Vec<GalleryView<'a>>,
    records: Vec<RecordView>,
    live: Option<&'a Live>,
}

struct ItemView<'a> {
    name: &'a str,
    title: &'a str,
    notes: Vec<&'a String>,
    values: Vec<ValueView<'a>>,
    table: Option<TableView<'a>>,
    figures: Vec<FigureView<'a>>,
    files: Vec<FileLink>,
    cite: String,
}

impl<'a> ItemView<'a> {
    fn new(report: &Report, item: &'a Item) -> Result<Self> {
        let csv = |table| {
            FileLink::new("CSV", format!("{}.csv", item.name), "text/csv", sheet::csv(table).as_bytes())
        };
        Ok(Self {
            name: &item.name,
            title: &item.title,
            notes: item.notes.iter().filter(|note| !is_said(item, note)).collect(),
            values: item.values.iter().map(ValueView::new).collect(),
            table: item.table.as_ref().map(TableView::new).transpose()?,
            figures: item.figures.iter().map(FigureView::new).collect::<Result<_>>()?,
            files: item.table.iter().map(csv).collect(),
            cite: bibtex(report, &item.title),
        })
    }
}

/// A number that is no accuracy.
struct ValueView<'a> {
    value: &'a item::Value,
    text: String,
    interval: String,
    records: Vec<RecordLink<'a>>,
}

impl<'a> ValueView<'a> {
    fn new(value: &'a item::Value) -> Self {
        let item::Value { value: middle, error, records, .. } = value;
        Self {
            value,
            text: format!("{middle:.4}"),
            interval: format!("{:.4}–{:.4}", middle - error, middle + error),
            records: RecordLink::all(records),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
