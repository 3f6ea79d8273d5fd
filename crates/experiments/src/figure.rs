//! The paper's figures as data: what is drawn, and where every number comes from. Who draws it is the report.
//!
//! Invariant: values are as measured. Nothing here is rounded, smoothed or laid out, and every point names the
//! records that it was computed from.

use serde::{Deserialize, Serialize};

/// One figure of the paper: panels side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Short name for files and links, such as `figure-3` or `figure-3-doubled`.
    pub id: String,
    /// Heading.
    pub title: String,
    /// What is seen, in a sentence or two; shown below the drawing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// At least one.
    pub panels: Vec<Panel>,
    /// What else must be said: what a profile shrank, how many examples were left out and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether it can be held against the published figure.
    pub comparable: bool,
}

impl Figure {
    /// Keys of all records that something in the figure names, repeated where several do.
    pub fn records(&self) -> impl Iterator<Item = &str> {
        self.panels.iter().flat_map(|panel| {
            let keys: Vec<&str> = match &panel.shape {
                Shape::Lines(series) => series
                    .iter()
                    .flat_map(|line| &line.points)
                    .flat_map(|point| point.records.iter().map(String::as_str))
                    .collect(),
                Shape::Histogram(all) => {
                    all.iter().flat_map(|bins| bins.records.iter().map(String::as_str)).collect()
                }
                Shape::Regions(regions) => regions.records.iter().map(String::as_str).collect(),
            };
            keys
        })
    }
}

/// One pair of axes and what is drawn in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Heading; empty if the figure's says enough.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis, on the left.
    pub y: Axis,
    /// A second vertical axis, on the right, for series with [`Side::Right`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Axis>,
    /// What is drawn.
    pub shape: Shape,
}

/// One axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Quantity, with its unit or norm: `test budget (l2)`.
    pub label: String,
    /// First and last value shown; `None`: what the data needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Values that are marked; empty: chosen from the range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis whose range and marks follow from the data.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: None, ticks: Vec::new() }
    }

    /// Shows exactly `first` to `last`.
    #[must_use]
    pub fn range(mut self, first: f64, last: f64) -> Self {
        self.range = Some([first, last]);
        self
    }

    /// Marks exactly `ticks`.
    #[must_use]
    pub fn ticks(mut self, ticks: impl Into<Vec<f64>>) -> Self {
        self.ticks = ticks.into();
        self
    }
}

/// What a panel shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Lines with markers, and bands where points have them.
    Lines(Vec<Series>),
    /// Histograms over one another, each scaled to area 1, so that sets of different size compare.
    Histogram(Vec<Bins>),
    /// Decision regions in the plane.
    Regions(Regions),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// How the line is drawn.
    pub style: LineStyle,
    /// Whose numbers these are.
    pub source: Source,
    /// Which vertical axis they are read on.
    #[serde(default)]
    pub side: Side,
    /// From left to right.
    pub points: Vec<Point>,
}

/// One value of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// On the horizontal axis.
    pub x: f64,
    /// On the vertical axis.
    pub y: f64,
    /// Lower and upper end of the band: an interval, or a standard deviation on each side; the figure's caption
    /// says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<[f64; 2]>,
    /// Images, or runs, behind the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<usize>,
    /// Keys of the records that it was computed from; none for a published number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineStyle {
    /// Unbroken.
    Solid,
    /// In dashes.
    Dashed,
    /// In dots.
    Dotted,
}

/// Whose numbers a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Ours.
    Measured,
    /// The paper's; drawn with hollow markers.
    Published,
}

/// Which vertical axis a line is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// [`Panel::y`].
    #[default]
    Left,
    /// [`Panel::right`], which must be there.
    Right,
}

/// One histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    /// What the legend says.
    pub name: String,
    /// Borders between bins, rising: one more than `counts`.
    pub edges: Vec<f64>,
    /// Examples in each bin, `edges[i] <= value < edges[i + 1]`, in the last one also its upper border.
    pub counts: Vec<u64>,
    /// Mean of the values, marked by a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Mean that the paper prints of its own values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_mean: Option<f64>,
    /// Examples that are in no bin, with the reason: `no perturbation found`, `zero gradient`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
    /// Keys of the records that it was computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

/// Examples left out of a histogram, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// Why.
    pub why: String,
    /// How many.
    pub count: u64,
}

/// What a classifier says in each point of the plane, and attacks on some points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regions {
    /// Names of the classes; class numbers index it.
    pub classes: Vec<String>,
    /// Columns of the grid.
    pub width: usize,
    /// Class of each grid cell, row by row, the lowest row first: a multiple of `width`.
    pub grid: Vec<usize>,
    /// First and last horizontal coordinate of the grid.
    pub x: [f64; 2],
    /// First and last vertical coordinate.
    pub y: [f64; 2],
    /// Examples.
    pub points: Vec<Dot>,
    /// From an example to what the attack made of it.
    pub arrows: Vec<Arrow>,
    /// Keys of the records that it was computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

/// An example in the plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dot {
    /// Horizontal and vertical coordinate.
    pub at: [f64; 2],
    /// Its true class.
    pub class: usize,
}

/// A perturbation in the plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrow {
    /// The example.
    pub from: [f64; 2],
    /// The perturbed example.
    pub to: [f64; 2],
    /// Whether the decision that counts is wrong there.
    #[serde(rename = "broken")]
    pub misclassified: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_back_as_it_was_written() {
        let point = |x, y| Point {
            x,
            y,
            band: Some([y - 0.1, y + 0.1]),
            n: Some(100),
            records: vec!["ab12".to_owned()],
        };
        let figure = Figure {
            id: "figure-4".to_owned(),
            title: "Figure 4".to_owned(),
            caption: None,
            panels: vec![Panel {
                title: String::new(),
                x: Axis::new("classes").ticks([2.0, 3.0]),
                y: Axis::new("robust accuracy").range(0.0, 1.0),
                right: Some(Axis::new("clean accuracy")),
                shape: Shape::Lines(vec![Series {
                    name: "clean".to_owned(),
                    style: LineStyle::Dashed,
                    source: Source::Measured,
                    side: Side::Right,
                    points: vec![point(2.0, 0.1 + 0.2), point(3.0, 1.0 / 3.0)],
                }]),
            }],
            notes: vec!["3 class orders".to_owned()],
            comparable: false,
        };
        let text = serde_json::to_string(&figure).unwrap();
        assert_eq!(serde_json::from_str::<Figure>(&text).unwrap(), figure, "{text}");
    }
}
