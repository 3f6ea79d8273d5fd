//! Ranges, marks and the frame that every panel has.

use std::ops::Range;

use plotters::chart::{ChartBuilder, DualCoordChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::DrawingArea;
use plotters::prelude::SVGBackend;
use plotters::style::{Color, IntoFont, TextStyle};
use robin_experiments::figure::{Axis, Panel};

use super::palette::INK;
use super::{Problem, UNIT};

/// Where to draw.
pub(super) type Area<'svg> = DrawingArea<SVGBackend<'svg>, Shift>;
/// What to draw on, in the coordinates of the left axis.
pub(super) type Chart<'a, 'svg> = DualCoordChartContext<'a, SVGBackend<'svg>, Plane, Plane>;
/// Both coordinates of a panel.
pub(super) type Plane = Cartesian2d<Span, Span>;

/// What an axis shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Span {
    /// What `axis` asks for, or what `values` need; `margin` is the share of the range left free on either side.
    pub(super) fn new(
        axis: &Axis,
        values: impl IntoIterator<Item = f64>,
        margin: f64,
    ) -> Result<Self, Problem> {
        let given = axis.range.into_iter().flatten().chain(axis.ticks.iter().copied());
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().chain(given) {
            if !value.is_finite() {
                return Err(Problem(format!("{value} on the axis {:?} is not finite", axis.label)));
            }
            low = low.min(value);
            high = high.max(value);
        }
        if let Some([first, last]) = axis.range {
            (low, high) = (first, last);
        } else {
            let free = margin * (high - low);
            (low, high) = (low - free, high + free);
        }
        if low > high {
            return Err(Problem(format!(
                "the axis {:?} has no values, or its range falls: from {low} to {high}",
                axis.label
            )));
        }
        if low == high {
            // One value alone stands in the middle.
            let around = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low, high) = (low - around, high + around);
        }
        let ticks = match axis.ticks.is_empty() {
            true => round_values(low, high),
            false => axis.ticks.clone(),
        };
        Ok(Self { low, high, ticks })
    }

    /// Decimals that tell the marks apart.
    pub(super) fn decimals(&self) -> usize {
        (0..6)
            .find(|&decimals| {
                let scale = 10_f64.powi(decimals as i32);
                self.ticks.iter().all(|tick| ((tick * scale).round() / scale - tick).abs() < 1e-9)
            })
            .unwrap_or(3)
    }
}

impl Ranged for Span {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.clone(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// At most seven multiples of 1, 2 or 5 times a power of ten.
fn round_values(low: f64, high: f64) -> Vec<f64> {
    let power = 10_f64.powf(((high - low) / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| (high - low) / step <= 6.0)
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

/// Text of `size` points.
pub(super) fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size * UNIT).into_font().color(&INK)
}

/// Letters of a heading that fit beside one another.
const HEADING: usize = 52;

/// A heading as one line, or as two if it is long.
fn wrapped(heading: &str) -> Vec<&str> {
    let middle = heading.len() / 2;
    let spaces = heading.match_indices(' ').map(|(at, _)| at);
    match spaces.min_by_key(|at| at.abs_diff(middle)) {
        _ if heading.is_empty() => Vec::new(),
        Some(at) if heading.chars().count() > HEADING => vec![&heading[..at], &heading[at + 1..]],
        _ => vec![heading],
    }
}

/// The panel's frame with marks, labels and a light grid.
pub(super) fn frame<'a, 'svg>(
    area: &'a Area<'svg>,
    panel: &Panel,
    x: &Span,
    y: &Span,
    right: Option<&Span>,
) -> Result<Chart<'a, 'svg>, Problem> {
    let mut area = area.clone();
    for line in wrapped(&panel.title) {
        area = area.titled(line, text(15))?;
    }
    let mut builder = ChartBuilder::on(&area);
    builder.margin(8 * UNIT).x_label_area_size(38 * UNIT).y_label_area_size(50 * UNIT);
    builder.margin_right(if right.is_some() { 4 * UNIT } else { 14 * UNIT });
    if right.is_some() {
        builder.right_y_label_area_size(50 * UNIT);
    }
    // Before the frame is drawn, so that the left axis leaves the right side alone.
    let mut chart = builder
        .build_cartesian_2d(x.clone(), y.clone())?
        .set_secondary_coord(x.clone(), right.unwrap_or(y).clone());
    let (x_decimals, y_decimals) = (x.decimals(), y.decimals());
    chart
        .configure_mesh()
        .x_labels(x.ticks.len() + 1)
        .y_labels(y.ticks.len() + 1)
        .x_label_formatter(&|value| format!("{value:.x_decimals$}"))
        .y_label_formatter(&|value| format!("{value:.y_decimals$}"))
        .bold_line_style(INK.mix(0.13).stroke_width(UNIT as u32))
        .light_line_style(INK.mix(0.0))
        .axis_style(INK.mix(0.6).stroke_width(UNIT as u32))
        .label_style(text(13))
        .axis_desc_style(text(14))
        .x_desc(&panel.x.label)
        .y_desc(&panel.y.label)
        .set_all_tick_mark_size(4 * UNIT)
        .draw()?;
    if let (Some(span), Some(axis)) = (right, &panel.right) {
        let decimals = span.decimals();
        chart
            .configure_secondary_axes()
            .y_labels(span.ticks.len() + 1)
            .y_label_formatter(&|value| format!("{value:.decimals$}"))
            .axis_style(INK.mix(0.6).stroke_width(UNIT as u32))
            .label_style(text(13))
            .axis_desc_style(text(14))
            .y_desc(&axis.label)
            .set_all_tick_mark_size(4 * UNIT)
            .draw()?;
    }
    Ok(chart)
}
