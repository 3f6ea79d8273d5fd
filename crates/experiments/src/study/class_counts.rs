//! Figures 3 and 4: section 3's task over test budgets, and over numbers of classes.

use super::StudyPart;
use super::drawing::{Drawing, Found, named};
use crate::cell::one_class;
use crate::figure::{Axis, Figure, LineStyle, Panel, Point, Series, Shape, Side, Source};
use crate::spec::{self, StudySpec};
use crate::{Error, Result};

/// Which number of a record is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    All,
    Balanced,
}

/// One figure over all examples, as the paper has it, and one over both groups alike.
pub(super) fn draw(drawing: &Drawing<'_>) -> Result<Vec<Figure>> {
    [Group::All, Group::Balanced].into_iter().map(|group| one(drawing, group)).collect()
}

fn one(drawing: &Drawing<'_>, group: Group) -> Result<Figure> {
    let StudySpec::ClassCount { counts, over, .. } = &drawing.study.spec else {
        unreachable!("called for this study only")
    };
    let quantity = match group {
        Group::All => "binary-task accuracy",
        Group::Balanced => "binary-task accuracy, both groups alike",
    };
    let mut panels = Vec::new();
    for (number, row) in drawing.item.rows.iter().enumerate() {
        let sum = Sum { drawing, row: number, group };
        let tests = row.row.tests();
        let mut series = Vec::new();
        match over {
            spec::Axis::Budget => {
                for &count in counts {
                    let points = tests.iter().map(|test| sum.point(test.get(), count, Some(test.get())));
                    series.push(line(format!("{count} classes"), Side::Left, points)?);
                }
            }
            spec::Axis::Classes => {
                for test in &tests {
                    let name = format!("robust accuracy at {} {test}", row.row.norm);
                    let points = counts.iter().map(|&count| sum.point(count as f64, count, Some(test.get())));
                    series.push(line(name, Side::Left, points)?);
                }
                let points = counts.iter().map(|&count| sum.point(count as f64, count, None));
                let mut standard = line("clean accuracy, standard training".to_owned(), Side::Right, points)?;
                standard.style = LineStyle::Dashed;
                if !standard.points.is_empty() {
                    series.push(standard);
                }
            }
        }
        let has_right = series.iter().any(|series| series.side == Side::Right);
        panels.push(Panel {
            title: named(row),
            x: match over {
                spec::Axis::Budget => Axis::new(format!("test budget ({})", row.row.norm)),
                spec::Axis::Classes => Axis::new("number of classes in training")
                    .ticks(counts.iter().map(|&count| count as f64).collect::<Vec<_>>()),
            },
            y: Axis::new(quantity),
            right: has_right.then(|| Axis::new("clean accuracy of standard training")),
            shape: Shape::Lines(series),
        });
    }
    let runs = drawing.item.seeds.len() * orders(drawing);
    let caption = match runs {
        1 => "\"Is this class 1?\", asked of networks trained on more and more classes; one class order."
            .to_owned(),
        runs => format!(
            "\"Is this class 1?\", asked of networks trained on more and more classes; means over {runs} class \
             orders, bands are one standard deviation on each side."
        ),
    };
    let mut figure = drawing.figure(&caption, panels, printed(drawing));
    if group == Group::Balanced {
        figure.id += "-balanced";
        figure.title += ", both groups alike";
    }
    Ok(figure)
}

fn orders(drawing: &Drawing<'_>) -> usize {
    match &drawing.study.spec {
        StudySpec::ClassCount { orders, .. } => *orders,
        _ => 1,
    }
}

/// Where a row's budgets are printed as other numbers in the paper.
fn printed(drawing: &Drawing<'_>) -> Vec<String> {
    let said = |row: &crate::plan::PlannedRow| {
        let printed = row.row.printed.as_ref()?;
        let tests = row.row.tests().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(format!("{}: test budgets {tests} are the paper's {}", named(row), printed.test.join(", ")))
    };
    drawing.item.rows.iter().filter_map(said).collect()
}

fn line(name: String, side: Side, points: impl Iterator<Item = Result<Option<Point>>>) -> Result<Series> {
    let points: Vec<Point> = points.filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(Series { name, style: LineStyle::Solid, source: Source::Measured, side, points })
}

/// Joins class orders and seeds.
struct Sum<'a> {
    drawing: &'a Drawing<'a>,
    row: usize,
    group: Group,
}

impl Sum<'_> {
    /// Mean and standard deviation of what was measured of `count` classes at budget `test`, or of standard training
    /// where there is none; `None` where nothing was.
    fn point(&self, x: f64, wanted: usize, test: Option<f64>) -> Result<Option<Point>> {
        let (mut values, mut records) = (Vec::new(), Vec::new());
        for Found { place, record } in &self.drawing.found {
            let StudyPart::OneClass { count, standard, test: at, .. } = place.part else { continue };
            let is_this = match test {
                Some(test) => !standard && at.get() == test,
                None => standard,
            };
            if (place.row, count) != (self.row, wanted) || !is_this {
                continue;
            }
            let accuracy = one_class::read(record)?;
            values.push(match self.group {
                Group::All => accuracy.all,
                Group::Balanced => accuracy.balanced,
            });
            records.push(record.key.to_string());
        }
        if values.is_empty() {
            return Ok(None);
        }
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let spread = (n > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (n - 1) as f64).sqrt()
        });
        let band = spread.map(|deviation| [mean - deviation, mean + deviation]);
        Ok::<_, Error>(Some(Point { x, y: mean, band, n: Some(n), records }))
    }
}
