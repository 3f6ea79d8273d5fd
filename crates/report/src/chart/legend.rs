//! What lines, areas and points mean, in a strip below the plot, where it hides nothing.

use plotters::element::{Circle, EmptyElement, PathElement, Polygon, Rectangle, Text};
use plotters::style::{Color, RGBColor};
use robin_experiments::figure::{LineStyle, Panel, Shape};

use super::axes::{Area, text};
use super::lines::{Look, fill_colour, marker, short};
use super::palette::{INK, class, tint};
use super::{LEGEND_LINE, Problem, UNIT, WIDTH};

/// Letters that fit beside one another in half a panel.
const HALF: usize = 24;

struct Entry {
    name: String,
    sign: Sign,
}

enum Sign {
    Line(Look),
    Area(RGBColor),
    Region(RGBColor, RGBColor),
}

fn entries(panel: &Panel) -> Vec<Entry> {
    match &panel.shape {
        Shape::Lines(series) => series
            .iter()
            .enumerate()
            .map(|(at, line)| Entry {
                name: line.name.clone(),
                sign: Sign::Line(Look::new(line, at, series.len())),
            })
            .collect(),
        Shape::Histogram(all) => all
            .iter()
            .enumerate()
            .map(|(at, bins)| {
                let mean = bins.mean.map(|mean| format!(", mean {} (dashed)", short(mean)));
                let left_out = bins.apart.iter().filter(|apart| apart.count > 0);
                let apart: String =
                    left_out.map(|apart| format!(", {}: {}", apart.why, apart.count)).collect();
                let published =
                    bins.published_mean.map(|mean| format!(", published {} (dotted)", short(mean)));
                let means = [mean, published].into_iter().flatten().collect::<String>();
                let name = format!("{}{means}{apart}", bins.name);
                Entry { name, sign: Sign::Area(class(at)) }
            })
            .collect(),
        Shape::Regions(regions) => regions
            .classes
            .iter()
            .enumerate()
            .map(|(at, name)| Entry { name: name.clone(), sign: Sign::Region(class(at), tint(at)) })
            .collect(),
    }
}

fn columns(entries: &[Entry]) -> usize {
    match entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0) {
        longest if 2 * longest <= HALF && entries.len() > 2 => 3,
        longest if longest <= HALF => 2,
        _ => 1,
    }
}

/// How many lines the legend of `panel` takes.
pub(super) fn lines(panel: &Panel) -> usize {
    let entries = entries(panel);
    entries.len().div_ceil(columns(&entries))
}

/// Draws the legend of `panel` into `area`.
pub(super) fn draw(area: &Area<'_>, panel: &Panel) -> Result<(), Problem> {
    let entries = entries(panel);
    let columns = columns(&entries);
    let width = (WIDTH - 60) * UNIT / columns as i32;
    // Long names become smaller, down to what can still be read.
    let longest = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or(0).max(1);
    let fitting = f64::from(width / UNIT - 36) / (0.6 * longest as f64);
    let size = fitting.clamp(9.0, 13.0) as i32;
    for (at, Entry { name, sign }) in entries.iter().enumerate() {
        let left = 50 * UNIT + width * (at % columns) as i32;
        let middle = LEGEND_LINE * UNIT * (at / columns) as i32 + LEGEND_LINE * UNIT / 2;
        let centre = (left + 14 * UNIT, middle);
        match sign {
            Sign::Line(look) => draw_line(area, *look, left, centre)?,
            Sign::Area(colour) => {
                let corners = [(left + 2 * UNIT, middle - 6 * UNIT), (left + 26 * UNIT, middle + 6 * UNIT)];
                area.draw(&Rectangle::new(corners, colour.mix(0.3).filled()))?;
                area.draw(&Rectangle::new(corners, colour.stroke_width(UNIT as u32)))?;
            }
            Sign::Region(colour, tint) => {
                let corners = [(left + 2 * UNIT, middle - 7 * UNIT), (left + 26 * UNIT, middle + 7 * UNIT)];
                area.draw(&Rectangle::new(corners, tint.filled()))?;
                area.draw(&Circle::new(centre, 4 * UNIT, colour.filled()))?;
                area.draw(&Circle::new(centre, 4 * UNIT, INK.mix(0.8).stroke_width(UNIT as u32)))?;
            }
        }
        area.draw(&Text::new(name.clone(), (left + 34 * UNIT, middle - 6 * UNIT), text(size)))?;
    }
    Ok(())
}

fn draw_line(area: &Area<'_>, look: Look, left: i32, centre: (i32, i32)) -> Result<(), Problem> {
    let stroke = look.colour.stroke_width(2 * UNIT as u32);
    let piece = |from: i32, to: i32| {
        PathElement::new(vec![(left + from * UNIT, centre.1), (left + to * UNIT, centre.1)], stroke)
    };
    match look.style {
        LineStyle::Solid => area.draw(&piece(0, 28))?,
        LineStyle::Dashed => {
            for from in [0, 10, 20] {
                area.draw(&piece(from, from + 6))?;
            }
        }
        LineStyle::Dotted => {
            for from in [0, 5, 10, 15, 20, 25] {
                area.draw(&piece(from, from + 2))?;
            }
        }
    }
    let corners = marker(look);
    area.draw(
        &(EmptyElement::at(centre)
            + Polygon::new(corners.clone(), fill_colour(look))
            + PathElement::new(corners, look.colour.stroke_width(UNIT as u32))),
    )?;
    Ok(())
}
