//! Decision regions in the plane, with examples and attacks.

use plotters::element::{Circle, EmptyElement, PathElement, Polygon, Rectangle};
use plotters::style::Color;
use robin_experiments::figure::{Panel, Regions};

use super::axes::{Area, Span, frame};
use super::lines::short;
use super::palette::{INK, class, tint};
use super::{Hit, HitShape, Problem, UNIT};

/// Draws `regions` into `area`.
pub(super) fn draw(
    area: &Area<'_>,
    panel: &Panel,
    regions: &Regions,
    hits: &mut Vec<Hit>,
) -> Result<(), Problem> {
    check(regions)?;
    let Regions { width, grid, x: [left, right], y: [low, high], .. } = regions;
    let x = Span::new(&panel.x, regions.x, 0.0)?;
    let y = Span::new(&panel.y, regions.y, 0.0)?;
    let mut chart = frame(area, panel, &x, &y, None)?;
    let height = grid.len() / width;
    let at_x = |column: usize| left + (right - left) * column as f64 / *width as f64;
    let at_y = |row: usize| low + (high - low) * row as f64 / height as f64;
    for (row, cells) in grid.chunks(*width).enumerate() {
        // Neighbours of one class are one rectangle.
        let mut from = 0;
        for run in cells.chunk_by(|a, b| a == b) {
            let to = from + run.len();
            // A little under the next row, which is drawn over it: no seams.
            let top = (at_y(row + 1) + 0.5 * (at_y(1) - at_y(0))).min(*high);
            let corners = [(at_x(from), at_y(row)), (at_x(to), top)];
            chart.draw_series([Rectangle::new(corners, tint(run[0]).filled())])?;
            from = to;
        }
    }
    for arrow in &regions.arrows {
        let (from, to) = (chart.backend_coord(&pair(arrow.from)), chart.backend_coord(&pair(arrow.to)));
        // What did not move has no direction; it stands in the figure's numbers.
        let Some(head) = head(from, to) else { continue };
        let line = INK.mix(if arrow.misclassified { 0.95 } else { 0.4 });
        chart.draw_series([PathElement::new(
            vec![pair(arrow.from), pair(arrow.to)],
            line.stroke_width((1.4 * f64::from(UNIT)) as u32),
        )])?;
        chart.draw_series([EmptyElement::at(pair(arrow.to)) + Polygon::new(head, line)])?;
    }
    for dot in &regions.points {
        let colour = class(dot.class);
        let ring = INK.mix(0.8).stroke_width(UNIT as u32);
        chart.draw_series([EmptyElement::at(pair(dot.at))
            + Circle::new((0, 0), 4 * UNIT, colour.filled())
            + Circle::new((0, 0), 4 * UNIT, ring)])?;
        let (at_x, at_y) = chart.backend_coord(&pair(dot.at));
        let [first, second] = dot.at;
        let text = format!("{} at ({}, {})", regions.classes[dot.class], short(first), short(second));
        let record = regions.records.first().cloned();
        hits.push(Hit { x: at_x, y: at_y, shape: HitShape::Around, text, record });
    }
    Ok(())
}

/// Corners of an arrow's head around its end; `None` if it is too short to point anywhere.
fn head(from: (i32, i32), to: (i32, i32)) -> Option<Vec<(i32, i32)>> {
    let (x, y) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
    let length = x.hypot(y);
    if length < f64::from(3 * UNIT) {
        return None;
    }
    let (x, y) = (x / length, y / length);
    let (long, wide) = (8.0 * f64::from(UNIT), 3.5 * f64::from(UNIT));
    let corner = |side: f64| {
        ((-long * x - side * wide * y).round() as i32, (-long * y + side * wide * x).round() as i32)
    };
    Some(vec![(0, 0), corner(1.0), corner(-1.0)])
}

fn pair([x, y]: [f64; 2]) -> (f64, f64) {
    (x, y)
}

fn check(regions: &Regions) -> Result<(), Problem> {
    let Regions { classes, width, grid, points, .. } = regions;
    if *width == 0 || grid.is_empty() || grid.len() % width != 0 {
        return Err(Problem(format!(
            "{} grid cells in rows of {width}: rows must be whole and there must be some",
            grid.len()
        )));
    }
    let largest = grid.iter().copied().chain(points.iter().map(|dot| dot.class)).max();
    if largest.is_some_and(|class| class >= classes.len()) {
        return Err(Problem(format!("class {largest:?} of {} classes", classes.len())));
    }
    let places =
        points.iter().map(|dot| dot.at).chain(regions.arrows.iter().flat_map(|arrow| [arrow.from, arrow.to]));
    for [x, y] in places {
        if !x.is_finite() || !y.is_finite() {
            return Err(Problem(format!("the place ({x}, {y}) is not finite")));
        }
    }
    Ok(())
}
