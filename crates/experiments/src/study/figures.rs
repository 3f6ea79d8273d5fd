//! Records as figures.

use robin_coherence::Summary;

use super::drawing::{Drawing, Found, named};
use super::{StudyPart, class_counts};
use crate::alignment::Compared;
use crate::cell::{coherence, distances, toy};
use crate::figure::{Apart, Axis, Bins, Figure, Panel, Shape};
use crate::plan::PlannedItem;
use crate::spec::StudySpec;
use crate::{Outcome, Plan, Result};

/// The figures of `item`, whose study is done; a figure of which a number is missing is left out. Empty for an item
/// without a study.
///
/// # Errors
/// [`crate::Error::Json`] for a record that is not what a study writes.
pub fn figures(plan: &Plan, item: &PlannedItem, outcome: &Outcome) -> Result<Vec<Figure>> {
    let Some(study) = &item.study else { return Ok(Vec::new()) };
    let found: Option<Vec<Found<'_>>> = study
        .places
        .iter()
        .map(|(place, cell)| Some(Found { place: *place, record: outcome.records.get(cell)? }))
        .collect();
    let Some(found) = found else { return Ok(Vec::new()) };
    let drawing = Drawing { plan, item, study, found };
    match &study.spec {
        StudySpec::ClassCount { .. } => class_counts::draw(&drawing),
        StudySpec::Distances { bins, .. } => drawing.distances(*bins),
        StudySpec::Coherence { members, .. } => drawing.coherence(*members),
        StudySpec::Toy(_) => drawing.toy(),
    }
}

impl Drawing<'_> {
    /// Figure 1: one panel for each row, one histogram for each number of classes.
    fn distances(&self, bins: usize) -> Result<Vec<Figure>> {
        let StudySpec::Distances { counts, .. } = &self.study.spec else { return Ok(Vec::new()) };
        let mut panels = Vec::new();
        for (number, row) in self.item.rows.iter().enumerate() {
            let mut sets = Vec::new();
            for &wanted in counts {
                let mut set = Pooled { count: wanted, ..Pooled::default() };
                for Found { place, record } in &self.found {
                    if let StudyPart::Distances { count, .. } = place.part
                        && (place.row, count) == (number, wanted)
                    {
                        let found = distances::read(record)?;
                        set.clean_errors += found.clean_errors;
                        set.censored += found.censored;
                        set.values.extend(found.distances.iter().flatten().map(|&d| f64::from(d)));
                        set.records.push(record.key.to_string());
                    }
                }
                sets.push(set);
            }
            let longest = sets.iter().flat_map(|set| &set.values).copied().fold(0.0, f64::max);
            panels.push(Panel {
                title: named(row),
                x: Axis::new("distance to the decision boundary (l2)"),
                y: Axis::new("density"),
                right: None,
                shape: Shape::Histogram(sets.into_iter().map(|set| set.bins(longest, bins)).collect()),
            });
        }
        let notes = panels.iter().flat_map(means).collect();
        Ok(vec![self.figure(
            "Smallest l2 perturbation found by any of the attacks that changes the answer to \"is this class 1?\"; \
             clean errors are at 0, failures apart.",
            panels,
            notes,
        )])
    }

    /// Figure 6: one panel for each row, one histogram for ROBIN and one for the ensemble.
    fn coherence(&self, members: usize) -> Result<Vec<Figure>> {
        let (mut panels, mut notes) = (Vec::new(), Vec::new());
        for (number, row) in self.item.rows.iter().enumerate() {
            let mut sets = Vec::new();
            for (compared, name) in
                [(Compared::Arms, "robin".to_owned()), (Compared::Networks, format!("ensemble of {members}"))]
            {
                let of = |found: &&Found<'_>| {
                    found.place.row == number && found.place.part == StudyPart::Coherence(compared)
                };
                let mut pooled: Option<Bins> = None;
                let mut measured = (0.0, 0);
                for found in self.found.iter().filter(of) {
                    let [trained, untrained] = coherence::read(found.record)?;
                    notes.push(control(&named(row), &name, &trained, &untrained));
                    measured.0 += trained.mean.unwrap_or(0.0) * trained.measured as f64;
                    measured.1 += trained.measured;
                    let next = histogram(&name, &trained, found.record.key.to_string());
                    match &mut pooled {
                        None => pooled = Some(next),
                        Some(all) => join(all, next),
                    }
                }
                if let Some(mut bins) = pooled {
                    bins.mean = (measured.1 > 0).then(|| measured.0 / measured.1 as f64);
                    bins.published_mean = row.row.published_coherence.filter(|_| compared == Compared::Arms);
                    sets.push(bins);
                }
            }
            panels.push(Panel {
                title: named(row),
                x: Axis::new("coherence").range(-1.0, 1.0),
                y: Axis::new("density"),
                right: None,
                shape: Shape::Histogram(sets),
            });
        }
        Ok(vec![self.figure(
            "Largest cosine between input gradients on clean test images: of the true class's arm and another one \
             (robin), and of any two networks (ensemble).",
            panels,
            notes,
        )])
    }

    /// Figure 2: the first seed's panels.
    fn toy(&self) -> Result<Vec<Figure>> {
        let Some(Found { record, .. }) = self.found.first() else { return Ok(Vec::new()) };
        let (mut panels, mut notes) = (Vec::new(), Vec::new());
        for panel in toy::read(record)? {
            let distance = panel.mean_distance.map_or("none".to_owned(), |mean| format!("{mean:.4}"));
            notes.push(format!(
                "{}: clean accuracy {:.4} of {} points, mean distance {distance}, {} not reached",
                panel.title, panel.clean_accuracy, panel.n, panel.censored
            ));
            let mut regions = panel.regions;
            regions.records.push(record.key.to_string());
            panels.push(Panel {
                title: panel.title,
                x: Axis::new("first pixel").range(0.0, 1.0),
                y: Axis::new("second pixel").range(0.0, 1.0),
                right: None,
                shape: Shape::Regions(regions),
            });
        }
        Ok(vec![self.figure(
            "Learned regions and test points; arrows lead to the nearest point found with a wrong decision.",
            panels,
            notes,
        )])
    }
}

/// Distances of several class orders and seeds as one set.
#[derive(Default)]
struct Pooled {
    count: usize,
    values: Vec<f64>,
    clean_errors: usize,
    censored: usize,
    records: Vec<String>,
}

impl Pooled {
    fn bins(self, longest: f64, bins: usize) -> Bins {
        let longest = if longest > 0.0 { longest } else { 1.0 };
        let histogram = robin_coherence::Histogram::of(&self.values, [0.0, longest], bins);
        let count = self.values.len();
        let apart = |why: &str, count: usize| Apart { why: why.to_owned(), count: count as u64 };
        Bins {
            name: format!("{} classes", self.count),
            edges: histogram.edges,
            counts: histogram.counts,
            mean: (count > 0).then(|| self.values.iter().sum::<f64>() / count as f64),
            published_mean: None,
            apart: vec![
                apart("clean errors, in the first bin", self.clean_errors),
                apart("no perturbation found", self.censored),
            ],
            records: self.records,
        }
    }
}

fn means(panel: &Panel) -> Vec<String> {
    let Shape::Histogram(sets) = &panel.shape else { return Vec::new() };
    let said = |set: &Bins| set.mean.map(|mean| format!("{}: mean of {} {mean:.4}", panel.title, set.name));
    sets.iter().filter_map(said).collect()
}

fn control(row: &str, name: &str, trained: &Summary, untrained: &Summary) -> String {
    let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.3}"));
    let norms = trained.norms.iter().map(|sizes| sizes.median);
    let (low, high) = norms.fold((f64::INFINITY, 0.0_f64), |(low, high), m| (low.min(m), high.max(m)));
    format!(
        "{row}, {name}: mean {}, median {}; the same networks before training: mean {}; median gradient norms \
         {low:.2e} to {high:.2e}",
        number(trained.mean),
        number(trained.median),
        number(untrained.mean)
    )
}

fn histogram(name: &str, summary: &Summary, record: String) -> Bins {
    let apart = |why: &str, count: usize| Apart { why: why.to_owned(), count: count as u64 };
    Bins {
        name: name.to_owned(),
        edges: summary.histogram.edges.clone(),
        counts: summary.histogram.counts.clone(),
        mean: summary.mean,
        published_mean: None,
        apart: vec![
            apart("zero gradient", summary.zero_gradient),
            apart("gradient not finite", summary.not_finite),
        ],
        records: vec![record],
    }
}

/// Adds the counts of another seed, whose bins are the same.
fn join(all: &mut Bins, next: Bins) {
    all.counts.iter_mut().zip(next.counts).for_each(|(sum, count)| *sum += count);
    all.apart.iter_mut().zip(next.apart).for_each(|(sum, apart)| sum.count += apart.count);
    all.records.extend(next.records);
}
