//! The report as a folder: the page, and every table and figure as files for papers.
//!
//! Layout: `report.html`, `report.json`, `claims.json` (the claims alone, for those who make them again from the records), `forest.{svg,png}` (the finding), `tables/<item>.{md,csv}`, `figures/<figure>.{svg,png}`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use robin_experiments::out::{self, Out};
use serde_json::Value;

use crate::chart;
use crate::error::{Error, Result};
use crate::finding;
use crate::page::html;
use crate::report::{Report, can_name};
use crate::sheet::{self, Sheet};
use crate::table::markdown;

/// Pixels of a PNG for one on the page: sharp in print at the width of a column.
const PNG_SCALE: u32 = 3;

/// The same of the forest plot, which is twice as wide.
const FOREST_SCALE: u32 = 2;

/// The folder that a report goes into.
#[derive(Debug)]
pub struct Bundle(Out);

impl Bundle {
    /// Makes the folder `report` in the result folder `results`, and proves that it can be written into.
    ///
    /// # Errors
    /// [`Error::Out`] naming the folder.
    pub fn open(results: &Path) -> Result<Self> {
        let out = Out::open_in(results, "report", 0)?;
        out.folder("tables")?;
        out.folder("figures")?;
        Ok(Self(out))
    }

    /// Writes `report`, over an older one, of which nothing is left, and returns the path of the page.
    ///
    /// # Errors
    /// What cannot be shown, before anything is written; [`Error::Out`] naming the file.
    pub fn write(&self, report: &Report) -> Result<PathBuf> {
        let page = html(report)?;
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some((drawing, heading)) = finding::file(&report.forest, report.profile)? {
            let png = drawing
                .png(FOREST_SCALE)
                .map_err(|problem| Error::Raster { figure: "forest".to_owned(), problem })?;
            files.push(("forest.svg".to_owned(), drawing.file(&heading).into_bytes()));
            files.push(("forest.png".to_owned(), png));
        }
        for item in &report.items {
            if let Some(table) = &item.table {
                let sheet = sheet::markdown(&Sheet::new(table)?);
                let text = format!("{sheet}\nMeasured (published).\n\n{}", markdown(table));
                files.push((format!("tables/{}.md", item.name), text.into_bytes()));
                files.push((format!("tables/{}.csv", item.name), sheet::csv(table).into_bytes()));
            }
            for figure in &item.figures {
                let drawing = chart::whole(figure)?;
                let png = drawing
                    .png(PNG_SCALE)
                    .map_err(|problem| Error::Raster { figure: figure.id.clone(), problem })?;
                files.push((format!("figures/{}.svg", figure.id), drawing.file(&figure.title).into_bytes()));
                files.push((format!("figures/{}.png", figure.id), png));
            }
        }
        files.push(("report.json".to_owned(), serde_json::to_vec_pretty(&report.json())?));
        files.push(("claims.json".to_owned(), serde_json::to_vec_pretty(&report.claims)?));
        files.push(("report.html".to_owned(), page.into_bytes()));
        let old = self.old();
        for (name, bytes) in &files {
            out::write(&self.0.path().join(name), bytes)?;
        }
        for stale in old.difference(&files.into_iter().map(|(name, _)| name).collect()) {
            // One that cannot be removed is named by no page any more.
            let _ = fs::remove_file(self.0.path().join(stale));
        }
        Ok(self.0.path().join("report.html"))
    }

    /// Files of tables and figures that the report in the folder says to be its own: beside another report they would be
    /// taken for that one's.
    fn old(&self) -> BTreeSet<String> {
        let text = fs::read(self.0.path().join("report.json")).unwrap_or_default();
        let Ok(report) = serde_json::from_slice::<Value>(&text) else { return BTreeSet::new() };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        // The file may come from anywhere, so only what can be a name of ours is one.
        let name = |value: &Value| value.as_str().filter(|name| can_name(name)).map(str::to_owned);
        let mut files = BTreeSet::new();
        if !list(&report["forest"]).is_empty() {
            files.extend(["forest.svg", "forest.png"].map(str::to_owned));
        }
        for item in list(&report["items"]) {
            files.extend(
                name(&item["name"])
                    .into_iter()
                    .flat_map(|name| ["md", "csv"].map(|kind| format!("tables/{name}.{kind}"))),
            );
            for figure in list(&item["figures"]) {
                files.extend(
                    name(&figure["id"])
                        .into_iter()
                        .flat_map(|id| ["svg", "png"].map(|kind| format!("figures/{id}.{kind}"))),
                );
            }
        }
        files
    }
}
