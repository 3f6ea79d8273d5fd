//! Histograms over one another, each of area 1.

use plotters::element::{PathElement, Polygon};
use plotters::style::Color;
use robin_experiments::figure::{Bins, Panel};

use super::axes::{Area, Span, frame};
use super::lines::short;
use super::palette::class;
use super::{Hit, HitShape, Problem, UNIT};

/// Draws `all` into `area`.
pub(super) fn draw(area: &Area<'_>, panel: &Panel, all: &[Bins], hits: &mut Vec<Hit>) -> Result<(), Problem> {
    for bins in all {
        check(bins)?;
    }
    let x = Span::new(&panel.x, all.iter().flat_map(|bins| bins.edges.iter().copied()), 0.02)?;
    let heights = all.iter().flat_map(|bins| (0..bins.counts.len()).map(|at| density(bins, at)));
    // Areas are read from their ground line.
    let mut y = Span::new(&panel.y, [0.0].into_iter().chain(heights), 0.06)?;
    if panel.y.range.is_none() {
        y.low = 0.0;
    }
    let mut chart = frame(area, panel, &x, &y, None)?;
    for (at, bins) in all.iter().enumerate() {
        let colour = class(at);
        let mut outline = Vec::with_capacity(2 * bins.counts.len() + 2);
        outline.push((bins.edges[0], 0.0));
        for bin in 0..bins.counts.len() {
            let height = density(bins, bin);
            outline.extend([(bins.edges[bin], height), (bins.edges[bin + 1], height)]);
        }
        outline.push((bins.edges[bins.counts.len()], 0.0));
        chart.draw_series([Polygon::new(outline.clone(), colour.mix(0.3))])?;
        let line = colour.stroke_width((1.6 * f64::from(UNIT)) as u32);
        chart.draw_series([PathElement::new(outline, line)])?;
        // Ours dashed, the paper's dotted.
        for (mean, pieces, share) in [(bins.mean, 20, 0.6), (bins.published_mean, 50, 0.3)] {
            let Some(mean) = mean else { continue };
            let length = (y.high - y.low) / f64::from(pieces);
            let pieces = (0..pieces).map(|piece| {
                let from = y.low + length * f64::from(piece);
                vec![(mean, from), (mean, from + share * length)]
            });
            chart.draw_series(pieces.map(|piece| PathElement::new(piece, line)))?;
        }
    }
    // One place to point at for every bin: all histograms that have it, so that none hides another.
    let Some(first) = all.first() else { return Ok(()) };
    let shared = all.iter().all(|bins| bins.edges == first.edges);
    for (at, bins) in all.iter().enumerate().take(if shared { 1 } else { all.len() }) {
        for bin in 0..bins.counts.len() {
            let told = if shared { all } else { &all[at..=at] };
            let tallest = told.iter().map(|bins| density(bins, bin)).fold(0.0, f64::max);
            let top = if shared { y.high } else { tallest };
            let (left, upper) = chart.backend_coord(&(bins.edges[bin], top));
            let (right, lower) = chart.backend_coord(&(bins.edges[bin + 1], y.low));
            let mut text =
                format!("{}: {} to {}", panel.x.label, short(bins.edges[bin]), short(bins.edges[bin + 1]));
            for bins in told {
                let total: u64 = bins.counts.iter().sum();
                text.push_str(&format!("\n{}: {} of {total}", bins.name, bins.counts[bin]));
            }
            hits.push(Hit {
                x: left,
                y: upper,
                shape: HitShape::Box(right - left, lower - upper),
                text,
                record: bins.records.first().cloned(),
            });
        }
    }
    Ok(())
}

/// Share of the values in bin `at`, for each unit of the axis.
fn density(bins: &Bins, at: usize) -> f64 {
    let total: u64 = bins.counts.iter().sum();
    bins.counts[at] as f64 / total as f64 / (bins.edges[at + 1] - bins.edges[at])
}

fn check(bins: &Bins) -> Result<(), Problem> {
    let Bins { name, edges, counts, .. } = bins;
    if edges.len() != counts.len() + 1 || counts.is_empty() {
        return Err(Problem(format!(
            "{name:?} has {} bins and {} edges; there must be bins, and one edge more than bins",
            counts.len(),
            edges.len()
        )));
    }
    if !edges.is_sorted_by(|a, b| a < b) {
        return Err(Problem(format!("the edges of {name:?} do not rise: {edges:?}")));
    }
    if counts.iter().sum::<u64>() == 0 {
        return Err(Problem(format!("no value of {name:?} lies in a bin")));
    }
    Ok(())
}
