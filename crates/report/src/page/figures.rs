//! A figure on the page: its panels, and its numbers as a table, which is what a screen reader and a keyboard use.

use robin_experiments::Figure;
use robin_experiments::figure::{Panel, Shape, Source};

use super::links::{FileLink, RecordLink};
use crate::chart::{self, short};
use crate::error::Result;

pub(super) struct FigureView<'a> {
    pub(super) figure: &'a Figure,
    /// Drawings; they escape their own text.
    pub(super) panels: Vec<String>,
    pub(super) numbers: Vec<NumbersView<'a>>,
    pub(super) file: FileLink,
}

/// The numbers of one panel.
pub(super) struct NumbersView<'a> {
    pub(super) title: &'a str,
    pub(super) head: [&'a str; 4],
    pub(super) lines: Vec<NumberLine<'a>>,
}

pub(super) struct NumberLine<'a> {
    pub(super) name: String,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) more: String,
    pub(super) records: Vec<RecordLink<'a>>,
}

impl<'a> FigureView<'a> {
    pub(super) fn new(figure: &'a Figure) -> Result<Self> {
        let panels = chart::panels(figure)?
            .iter()
            .zip(&figure.panels)
            .map(|(drawing, panel)| {
                let title = if panel.title.is_empty() { &figure.title } else { &panel.title };
                drawing.inline(&format!(
                    "{title}: {} against {}; the numbers stand in the table below",
                    panel.y.label, panel.x.label
                ))
            })
            .collect();
        let file = super::svg_link(&figure.id, &chart::whole(figure)?.file(&figure.title));
        Ok(Self { figure, panels, numbers: figure.panels.iter().map(numbers).collect(), file })
    }
}

fn numbers(panel: &Panel) -> NumbersView<'_> {
    let (x, y) = (panel.x.label.as_str(), panel.y.label.as_str());
    let (head, lines) = match &panel.shape {
        Shape::Lines(series) => {
            let lines = series.iter().flat_map(|line| {
                line.points.iter().map(move |point| {
                    let mut more: Vec<String> = Vec::new();
                    if let Some([low, high]) = point.band {
                        more.push(format!("{low:.4}–{high:.4}"));
                    }
                    if let Some(n) = point.n {
                        more.push(format!("n = {n}"));
                    }
                    if line.source == Source::Published {
                        more.push("published".to_owned());
                    }
                    NumberLine {
                        name: line.name.clone(),
                        x: short(point.x),
                        y: format!("{:.4}", point.y),
                        more: more.join(", "),
                        records: RecordLink::all(&point.records),
                    }
                })
            });
            (["line", x, y, "band, n"], lines.collect())
        }
        Shape::Histogram(all) => {
            let lines = all.iter().flat_map(|bins| {
                let counts = bins.edges.windows(2).zip(&bins.counts).map(|(edges, count)| NumberLine {
                    name: bins.name.clone(),
                    x: format!("{}–{}", short(edges[0]), short(edges[1])),
                    y: count.to_string(),
                    more: String::new(),
                    records: RecordLink::all(&bins.records),
                });
                let apart = bins.apart.iter().map(|apart| NumberLine {
                    name: bins.name.clone(),
                    x: apart.why.clone(),
                    y: apart.count.to_string(),
                    more: "in no bin".to_owned(),
                    records: RecordLink::all(&bins.records),
                });
                counts.chain(apart).collect::<Vec<_>>()
            });
            (["histogram", x, "count", ""], lines.collect())
        }
        Shape::Regions(regions) => {
            let place = |[x, y]: [f64; 2]| format!("{}, {}", short(x), short(y));
            let points = regions.points.iter().map(|dot| NumberLine {
                name: format!("example of {}", regions.classes[dot.class]),
                x: place(dot.at),
                y: "–".to_owned(),
                more: String::new(),
                records: RecordLink::all(&regions.records),
            });
            let arrows = regions.arrows.iter().map(|arrow| NumberLine {
                name: "attack".to_owned(),
                x: place(arrow.from),
                y: place(arrow.to),
                more: if arrow.misclassified { "broken" } else { "withstood" }.to_owned(),
                records: RecordLink::all(&regions.records),
            });
            (["what", "place", "perturbed to", ""], points.chain(arrows).collect())
        }
    };
    NumbersView { title: &panel.title, head, lines }
}
