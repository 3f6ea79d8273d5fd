//! Accuracy over the test budget: Figures 5, 7 and 8.

use std::collections::BTreeMap;

use robin_core::{Epsilon, Norm};
use robin_evaluation::wilson;

use crate::figure::{Axis, Figure, LineStyle, Panel, Point, Series, Shape, Side, Source};
use crate::plan::PlannedItem;
use crate::spec::FigureSpec;
use crate::{Table, TableCell};

/// A panel for each row, and in it a line for each classifier with each strategy, or each transferred attack. A line
/// begins at budget 0 with the clean accuracy.
pub(super) fn figure(spec: &FigureSpec, item: &PlannedItem, table: &Table) -> Figure {
    let panels: Vec<Panel> = item
        .rows
        .iter()
        .filter_map(|row| {
            let label = row.row.label();
            let cells: Vec<&TableCell> = table.cells.iter().filter(|cell| cell.row == label).collect();
            let series = lines(item, &cells);
            let stand_in = row.row.stand_in.as_ref().map(|of| format!(" (stands in for {of})"));
            (!series.is_empty()).then(|| Panel {
                title: format!("{label}, trained with {}{}", row.row.epsilon, stand_in.unwrap_or_default()),
                x: Axis::new(match row.row.norm {
                    Norm::L2 => "test budget (l2, pixels in [0, 1])",
                    Norm::Linf => "test budget (linf, in 1/255)",
                }),
                y: Axis::new("accuracy").range(0.0, 1.0),
                right: None,
                shape: Shape::Lines(series),
            })
        })
        .collect();
    Figure {
        id: spec.id.clone(),
        title: spec.title.clone(),
        caption: Some("Bands are 95% Wilson intervals at n test images.".to_owned()),
        panels,
        notes: table.run.shrunk.clone(),
        comparable: table.run.comparable,
    }
}

/// What a line shows: a classifier, an attack and a strategy.
type Name<'a> = (&'a str, &'a str, Option<&'a str>);

fn lines(item: &PlannedItem, cells: &[&TableCell]) -> Vec<Series> {
    // In the order of the cells.
    let mut names: Vec<Name<'_>> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.attack != "clean") {
        let strategies: Vec<Option<&str>> = match cell.strategies.is_empty() {
            true => vec![None],
            false => cell.strategies.keys().map(|name| Some(name.as_str())).collect(),
        };
        for strategy in strategies {
            let name = (cell.classifier.as_str(), cell.attack.as_str(), strategy);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let transfers = item.columns.iter().any(|column| column.transfer.is_some());
    names.into_iter().flat_map(|name| line(name, cells, transfers)).collect()
}

fn line((classifier, attack, strategy): Name<'_>, cells: &[&TableCell], transfers: bool) -> Vec<Series> {
    let clean = cells.iter().filter(|cell| cell.classifier == classifier && cell.attack == "clean");
    let attacked: Vec<&&TableCell> =
        cells.iter().filter(|cell| cell.classifier == classifier && cell.attack == attack).collect();
    let accuracy = |cell: &TableCell| match strategy {
        Some(strategy) => cell.strategies.get(strategy).copied(),
        None => Some(cell.accuracy),
    };
    let at_zero = clean.clone().map(|cell| point(0.0, cell.accuracy, cell));
    let mut measured: Vec<Point> = at_zero
        .chain(
            attacked
                .iter()
                .filter_map(|cell| Some(point(place(cell.norm, cell.epsilon), accuracy(cell)?, cell))),
        )
        .collect();
    measured.sort_by(|one, other| one.x.total_cmp(&other.x));
    let published: BTreeMap<u64, Point> = attacked
        .iter()
        .filter_map(|cell| {
            let by_strategy = strategy.and_then(|strategy| cell.published_strategies.get(strategy)).copied();
            // Without a choice of strategies the number is this line's.
            let y = by_strategy.or(cell.published.filter(|_| cell.strategies.len() < 2))?;
            let x = place(cell.norm, cell.epsilon);
            Some((x.to_bits(), Point { x, y, band: None, n: None, records: Vec::new() }))
        })
        .collect();
    let name = match strategy {
        // A line of the judged classifier itself among transferred ones.
        Some(strategy) => format!("{classifier}, {strategy}"),
        None => format!("{classifier}, {attack}"),
    };
    let style = if transfers && strategy.is_some() { LineStyle::Dotted } else { LineStyle::Solid };
    let mut series = vec![Series {
        name: name.clone(),
        style,
        source: Source::Measured,
        side: Side::Left,
        points: measured,
    }];
    if !published.is_empty() {
        series.push(Series {
            name: format!("{name} (paper)"),
            style: LineStyle::Dashed,
            source: Source::Published,
            side: Side::Left,
            points: published.into_values().collect(),
        });
    }
    series
}

fn place(norm: Norm, epsilon: Epsilon) -> f64 {
    match norm {
        Norm::L2 => epsilon.get(),
        Norm::Linf => 255.0 * epsilon.get(),
    }
}

fn point(x: f64, y: f64, cell: &TableCell) -> Point {
    let interval = wilson((y * cell.n as f64).round() as u64, cell.n as u64);
    Point { x, y, band: Some([interval.low, interval.high]), n: Some(cell.n), records: cell.records.clone() }
}
