//! Figures as SVG, drawn by plotters.
//!
//! Reading order: this file, `axes` (ranges and frame), then one file for each shape; `intervals` (a forest plot) stands apart,
//! because half of it is text.
//!
//! Plotters counts in whole pixels, so everything is drawn `UNIT` times as large and shown smaller: lines are
//! then as exact as a screen or printer can show. Over each value lies an invisible mark with its text
//! (`Hit`), which a browser shows when it is pointed at.

mod axes;
mod histogram;
pub(crate) mod intervals;
mod legend;
mod lines;
mod palette;
mod raster;
mod regions;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::Write;

use askama::filters::{Html, escape};
pub(crate) use lines::short;
use plotters::drawing::{DrawingAreaErrorKind, IntoDrawingArea};
use plotters::prelude::SVGBackend;
use robin_experiments::Figure;
use robin_experiments::figure::{Panel, Shape};

use crate::error::{Error, Result};

/// Units of the drawing in one pixel on the page.
const UNIT: i32 = 8;
/// Width of a panel, in pixels on the page: readable on a phone without being made smaller.
const WIDTH: i32 = 440;
/// Height of a panel without its legend.
const HEIGHT: i32 = 320;
/// Height of a line of the legend.
const LEGEND_LINE: i32 = 21;

/// A figure, or one panel of it, drawn.
#[derive(Debug, Clone)]
pub struct Drawing {
    svg: String,
    hits: Vec<Hit>,
    width: i32,
    height: i32,
}

/// A value that can be pointed at.
#[derive(Debug, Clone, PartialEq)]
struct Hit {
    /// In units of the drawing.
    x: i32,
    y: i32,
    shape: HitShape,
    /// What is said.
    text: String,
    /// Key of a record that it came from, if there is one.
    record: Option<String>,
}

/// The part of the drawing that reacts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum HitShape {
    /// Around the place.
    Around,
    /// From the place to the right and down: width and height in units.
    Box(i32, i32),
}

/// Why a panel cannot be drawn.
#[derive(Debug)]
struct Problem(String);

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for Problem {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self(format!("plotters: {error}"))
    }
}

/// Each panel of `figure` as a drawing of its own, for a page that arranges them.
///
/// # Errors
/// [`Error::Figure`] if there is nothing to draw, or a value is not finite.
pub fn panels(figure: &Figure) -> Result<Vec<Drawing>> {
    (0..figure.panels.len()).map(|at| draw(figure, at..at + 1)).collect()
}

/// All panels of `figure` beside one another, for a file.
///
/// # Errors
/// As [`panels`].
pub fn whole(figure: &Figure) -> Result<Drawing> {
    draw(figure, 0..figure.panels.len())
}

fn draw(figure: &Figure, which: std::ops::Range<usize>) -> Result<Drawing> {
    let error = |panel: usize, problem: String| Error::Figure {
        figure: figure.id.clone(),
        panel: panel + 1,
        problem,
    };
    let panels = &figure.panels[which.clone()];
    if panels.is_empty() {
        return Err(error(0, "a figure needs at least one panel".to_owned()));
    }
    let legend_lines = panels.iter().map(legend::lines).max().unwrap_or(0) as i32;
    let (width, height) = (WIDTH * panels.len() as i32, HEIGHT + LEGEND_LINE * legend_lines);
    let mut svg = String::new();
    let mut hits = Vec::new();
    {
        let size = ((width * UNIT) as u32, (height * UNIT) as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        for (at, (panel, area)) in panels.iter().zip(root.split_evenly((1, panels.len()))).enumerate() {
            let result = draw_panel(&area, panel, &mut hits);
            result.map_err(|Problem(problem)| error(which.start + at, problem))?;
        }
        root.present().map_err(|problem| error(which.start, problem.to_string()))?;
    }
    Ok(Drawing { svg, hits, width, height })
}

fn draw_panel(area: &axes::Area<'_>, panel: &Panel, hits: &mut Vec<Hit>) -> std::result::Result<(), Problem> {
    let (plot, below) = area.split_vertically(HEIGHT * UNIT);
    match &panel.shape {
        Shape::Lines(series) => lines::draw(&plot, panel, series, hits)?,
        Shape::Histogram(bins) => histogram::draw(&plot, panel, bins, hits)?,
        Shape::Regions(regions) => regions::draw(&plot, panel, regions, hits)?,
    }
    legend::draw(&below, panel)
}

impl Drawing {
    /// For the page: colours are its variables, and every value can be pointed at and leads to its record.
    /// `label` is what is read aloud in place of the drawing.
    pub fn inline(&self, label: &str) -> String {
        let themed = palette::themed(self.body());
        let (width, height) = (self.width, self.height);
        let mut hits = String::new();
        for hit in &self.hits {
            let shape = hit.element();
            match &hit.record {
                // Reached by keyboard through the table of the figure's numbers, which has the same links.
                Some(key) => {
                    write!(hits, "<a href=\"#record-{}\" tabindex=\"-1\">{shape}</a>", escaped(key))
                }
                None => write!(hits, "{shape}"),
            }
            .expect("writing to a string");
        }
        format!(
            "<svg role=\"img\" aria-label=\"{}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\">\
             {themed}<g class=\"hits\">{hits}</g></svg>",
            escaped(label),
            width * UNIT,
            height * UNIT,
        )
    }

    /// As a file of its own, on white.
    pub fn file(&self, title: &str) -> String {
        let (width, height) = (self.width, self.height);
        let hits: String = self.hits.iter().map(Hit::element).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {w} {h}\">\n<title>{}</title>\n<rect width=\"{w}\" height=\"{h}\" fill=\"#FFFFFF\"/>\n\
             {}<g>{hits}</g>\n</svg>\n",
            escaped(title),
            self.body(),
            w = width * UNIT,
            h = height * UNIT,
        )
    }

    /// The drawing as PNG, on white, `scale` pixels of it for one on the page.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn png(&self, scale: u32) -> std::result::Result<Vec<u8>, String> {
        raster::png(&self.file(""), self.width as u32 * scale, self.height as u32 * scale)
    }

    /// Without the outermost element, whose size is that of the drawing and not that on the page.
    fn body(&self) -> &str {
        let start = self.svg.find('>').map_or(0, |at| at + 1);
        let end = self.svg.rfind("</svg>").unwrap_or(self.svg.len());
        &self.svg[start..end]
    }
}

impl Hit {
    fn element(&self) -> String {
        let Self { x, y, .. } = self;
        let text = escaped(&self.text);
        match self.shape {
            HitShape::Around => format!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"{}\" fill=\"none\" pointer-events=\"all\"><title>{text}</title></circle>",
                10 * UNIT
            ),
            HitShape::Box(width, height) => format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"none\" \
                 pointer-events=\"all\"><title>{text}</title></rect>"
            ),
        }
    }
}

/// `text` as it may stand in HTML and in SVG, also in attributes.
pub(crate) fn escaped(text: &str) -> String {
    escape(text, Html).map(|text| text.to_string()).unwrap_or_else(|never| match never {})
}
