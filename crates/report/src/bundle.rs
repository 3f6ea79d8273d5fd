//! The report as a folder: the page, and every table and figure as files for papers.
//!
//! Layout: `report.html`, `report.json`, `claims.json` (the claims alone, for those who make them again from the records), `tables/<item>.{md,csv}`, `figures/<figure>.{svg,png}`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chart;
use crate::error::{Error, Result};
use crate::page::html;
use crate::report::Report;
use crate::sheet::{self, Sheet};
use crate::table::markdown;

/// Pixels of a PNG for one on the page: sharp in print at the width of a column.
const PNG_SCALE: u32 = 3;

/// Writes `report` into `folder`, over an older one, and returns the path of the page.
///
/// # Errors
/// What cannot be shown, before anything is written; [`Error::Io`] naming the file.
pub fn write(report: &Report, folder: &Path) -> Result<PathBuf> {
    let page = html(report)?;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
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
    for name in ["tables", "figures"] {
        let path = folder.join(name);
        fs::create_dir_all(&path).map_err(|source| Error::Io {
            path,
            action: "create the folder",
            source,
        })?;
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| Error::Io { path, action: "write", source })?;
    }
    Ok(folder.join("report.html"))
}
