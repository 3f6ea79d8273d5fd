//! Lines with markers and bands.

use plotters::element::{EmptyElement, PathElement, Polygon};
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::{Color, RGBColor};
use robin_experiments::figure::{LineStyle, Panel, Point, Series, Side, Source};

use super::axes::{Area, Chart, Span, frame};
use super::palette::{PAPER, line};
use super::{Hit, HitShape, Problem, UNIT};

/// Draws `series` into `area`.
pub(super) fn draw(
    area: &Area<'_>,
    panel: &Panel,
    series: &[Series],
    hits: &mut Vec<Hit>,
) -> Result<(), Problem> {
    let x = Span::new(&panel.x, series.iter().flat_map(|line| &line.points).map(|point| point.x), 0.05)?;
    let y = Span::new(&panel.y, values(series, Side::Left), 0.08)?;
    let right = match (&panel.right, series.iter().find(|line| line.side == Side::Right)) {
        (Some(axis), _) => Some(Span::new(axis, values(series, Side::Right), 0.08)?),
        (None, Some(line)) => {
            return Err(Problem(format!("{:?} is read on the right axis, which is missing", line.name)));
        }
        (None, None) => None,
    };
    let mut chart = frame(area, panel, &x, &y, right.as_ref())?;
    for (at, line) in series.iter().enumerate() {
        let to_left = |value: f64| match (line.side, &right) {
            (Side::Right, Some(right)) => {
                y.low + (value - right.low) / (right.high - right.low) * (y.high - y.low)
            }
            _ => value,
        };
        draw_line(&mut chart, line, Look::new(line, at, series.len()), &to_left)?;
        for point in &line.points {
            let (x, y) = chart.backend_coord(&(point.x, to_left(point.y)));
            let record = point.records.first().cloned();
            hits.push(Hit { x, y, shape: HitShape::Around, text: said(panel, line, point), record });
        }
    }
    Ok(())
}

/// How a line looks, in the panel and in its legend.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) colour: RGBColor,
    pub(super) style: LineStyle,
    pub(super) marker: usize,
    pub(super) source: Source,
}

impl Look {
    pub(super) fn new(series: &Series, index: usize, of: usize) -> Self {
        Self { colour: line(index, of), style: series.style, marker: index, source: series.source }
    }
}

fn draw_line(
    chart: &mut Chart<'_, '_>,
    series: &Series,
    look: Look,
    to_left: &dyn Fn(f64) -> f64,
) -> Result<(), Problem> {
    let points: Vec<(f64, f64)> = series.points.iter().map(|point| (point.x, to_left(point.y))).collect();
    let bands: Vec<(f64, f64, f64)> = series
        .points
        .iter()
        .filter_map(|point| Some((point.x, to_left(point.band?[0]), to_left(point.band?[1]))))
        .collect();
    let thin = look.colour.stroke_width((1.2 * f64::from(UNIT)) as u32);
    if bands.len() == points.len() && points.len() > 1 {
        let lower = bands.iter().map(|&(x, low, _)| (x, low));
        let upper = bands.iter().rev().map(|&(x, _, high)| (x, high));
        chart.draw_series([Polygon::new(lower.chain(upper).collect::<Vec<_>>(), look.colour.mix(0.16))])?;
    } else {
        chart.draw_series(
            bands.iter().map(|&(x, low, high)| PathElement::new(vec![(x, low), (x, high)], thin)),
        )?;
    }
    let thick = look.colour.stroke_width(2 * UNIT as u32);
    match look.style {
        LineStyle::Solid => chart.draw_series(LineSeries::new(points.iter().copied(), thick))?,
        LineStyle::Dashed => {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6 * UNIT, 4 * UNIT, thick))?
        }
        LineStyle::Dotted => {
            chart.draw_series(DashedLineSeries::new(points.iter().copied(), 2 * UNIT, 3 * UNIT, thick))?
        }
    };
    for &point in &points {
        let corners = marker(look);
        chart.plotting_area().draw(
            &(EmptyElement::at(point)
                + Polygon::new(corners.clone(), fill_colour(look))
                + PathElement::new(corners, thick)),
        )?;
    }
    Ok(())
}

/// Hollow where the number is not ours.
pub(super) fn fill_colour(look: Look) -> RGBColor {
    match look.source {
        Source::Measured => look.colour,
        Source::Published => PAPER,
    }
}

/// Corners of the marker around (0, 0), in units; the last one is the first one again.
pub(super) fn marker(look: Look) -> Vec<(i32, i32)> {
    let radius = 4.0 * f64::from(UNIT);
    // Corners, the turn of the first one in quarters, and the size that makes areas look alike.
    let (corners, turn, size) = [
        (24, 0.0, 1.0),
        (4, 0.5, 1.2),
        (3, 3.0, 1.35),
        (4, 0.0, 1.25),
        (3, 1.0, 1.35),
        (6, 0.0, 1.1),
        (5, 3.0, 1.15),
    ][look.marker % 7];
    (0..=corners)
        .map(|corner| {
            let angle = std::f64::consts::FRAC_PI_2 * (turn + 4.0 * f64::from(corner) / f64::from(corners));
            ((size * radius * angle.cos()).round() as i32, (size * radius * angle.sin()).round() as i32)
        })
        .collect()
}

fn values(series: &[Series], side: Side) -> impl Iterator<Item = f64> {
    series
        .iter()
        .filter(move |line| line.side == side)
        .flat_map(|line| &line.points)
        .flat_map(|point| [point.y].into_iter().chain(point.band.into_iter().flatten()))
}

/// What is said of a point.
fn said(panel: &Panel, series: &Series, point: &Point) -> String {
    let axis = match (series.side, &panel.right) {
        (Side::Right, Some(right)) => right,
        _ => &panel.y,
    };
    let mut text =
        format!("{}\n{}: {}\n{}: {:.4}", series.name, panel.x.label, short(point.x), axis.label, point.y);
    if let Some([low, high]) = point.band {
        text.push_str(&format!("\nband {low:.4} to {high:.4}"));
    }
    if let Some(n) = point.n {
        text.push_str(&format!("\nn = {n}"));
    }
    if series.source == Source::Published {
        text.push_str("\nas published");
    }
    text
}

/// At most four decimals, no zeros at the end.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
