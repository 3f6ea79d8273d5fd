//! Differences between classifiers and between attacks, example by example.

use robin_aggregation::StrategyChoice;
use robin_core::{Epsilon, Norm};
use robin_evaluation::{gap, mcnemar, verdict};
use serde::Serialize;

use super::number::{At, Found, accuracy, mean, misclassified_by_any};
use crate::cell::evaluation::Misses;
use crate::plan::{Place, PlannedItem};
use crate::spec::{Column, PrintedOverlap};
use crate::{Error, Result};

/// Two classifiers under the same attack, on the same images. Each is judged by the examples that withstand all of its
/// strategies, so that no choice of a strategy favours one.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The row's name.
    pub row: String,
    /// Of the test budget.
    pub norm: Norm,
    /// The test budget; `None` when clean.
    pub epsilon: Option<Epsilon>,
    /// `clean`, or the attack.
    pub attack: String,
    /// The classifier that is compared.
    pub classifier: String,
    /// The one that it is compared with.
    pub baseline: String,
    /// Accuracy of the first less that of the second, mean over seeds.
    pub gap: f64,
    /// Lower end of its 95% interval: image by image, and from three seeds on seed by seed.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// McNemar's exact two-sided p on the same images, by seed.
    pub p: Vec<f64>,
    /// `gap`, `within noise`, or `undecided`.
    pub verdict: String,
}

/// Examples that two strategies break, those misclassified clean included and apart; sums over seeds.
#[derive(Debug, Clone, Serialize)]
pub struct Overlap {
    /// The row's name.
    pub row: String,
    /// The classifier.
    pub classifier: String,
    /// The attack.
    pub attack: String,
    /// The test budget.
    pub epsilon: Epsilon,
    /// The two strategies.
    pub strategies: [String; 2],
    /// Examples, over all seeds.
    pub n: usize,
    /// Misclassified clean, and so under both.
    pub clean_errors: usize,
    /// Misclassified by each, clean errors included.
    #[serde(rename = "broken")]
    pub misclassified: [usize; 2],
    /// Misclassified by both, clean errors included.
    pub both: usize,
    /// What the paper prints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<PrintedOverlap>,
    /// Keys of the evaluations behind it.
    pub records: Vec<String>,
}

impl Overlap {
    /// Of the examples that the first breaks and that were right when clean, the share that the second breaks too;
    /// `None` if there are none.
    pub fn inside(&self) -> Option<f64> {
        let own = self.misclassified[0] - self.clean_errors;
        (own > 0).then(|| (self.both - self.clean_errors) as f64 / own as f64)
    }
}

pub(super) fn comparisons(item: &PlannedItem, results: &[Found], places: &[At]) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    for pair in &item.compare {
        let at = |name: &String| item.classifiers.iter().position(|classifier| classifier.name == *name);
        let [Some(baseline), Some(classifier)] = [at(&pair[0]), at(&pair[1])] else { continue };
        for at in places.iter().filter(|at| at.classifier == classifier) {
            found.extend(comparison(item, results, at, baseline)?);
        }
    }
    Ok(found)
}

/// The classifier at `at` against `baseline`; `None` while a result is missing.
fn comparison(item: &PlannedItem, results: &[Found], at: &At, baseline: usize) -> Result<Option<Comparison>> {
    // [seed]: what any strategy breaks.
    let union = |at: &At| -> Option<Vec<Misses>> {
        item.seeds.iter().map(|&seed| misclassified_by_any(item, results, at, seed)).collect()
    };
    let (Some(first), Some(second)) = (union(at), union(&At { classifier: baseline, ..at.clone() })) else {
        return Ok(None);
    };
    let pairs: Vec<(&[bool], &[bool])> = first.iter().zip(&second).map(|(a, b)| (&a[..], &b[..])).collect();
    let failed = "comparing two classifiers";
    let p = pairs.iter().map(|(a, b)| mcnemar(a, b).map(|test| test.p)).collect::<Result<_, _>>();
    let of_all = |misclassified: &[Misses]| {
        mean(&misclassified.iter().map(|misclassified| accuracy(misclassified)).collect::<Vec<_>>())
    };
    let estimate = gap(&pairs).map_err(Error::work(failed))?;
    Ok(Some(Comparison {
        row: item.rows[at.row].row.label(),
        norm: item.rows[at.row].row.norm,
        epsilon: at.test,
        attack: item.columns[at.column].name.clone(),
        classifier: item.classifiers[at.classifier].name.clone(),
        baseline: item.classifiers[baseline].name.clone(),
        gap: of_all(&first) - of_all(&second),
        low: estimate.low,
        high: estimate.high,
        p: p.map_err(Error::work(failed))?,
        verdict: verdict(&estimate).to_string(),
    }))
}

pub(super) fn overlaps(item: &PlannedItem, results: &[Found]) -> Vec<Overlap> {
    let mut all = Vec::new();
    let clean = item.columns.iter().position(Column::is_clean);
    for &pair in &item.overlaps {
        let first = pair[0];
        let wanted = item.places.iter().map(|(place, _)| place);
        // One overlap for each place of the first strategy, whatever the seed.
        for place in wanted.filter(|p| p.strategy == Some(first) && p.seed == item.seeds[0]) {
            all.extend(clean.and_then(|clean| overlap(item, results, place, clean, pair)));
        }
    }
    all
}

/// The overlap of `pair` at `place`, over all seeds; `None` while a result is missing.
fn overlap(
    item: &PlannedItem,
    results: &[Found],
    place: &Place,
    clean: usize,
    pair: [StrategyChoice; 2],
) -> Option<Overlap> {
    let find = |wanted: Place| results.iter().find(|found| found.place == wanted);
    let mut overlap = Overlap {
        row: item.rows[place.row].row.label(),
        classifier: item.classifiers[place.classifier].name.clone(),
        attack: item.columns[place.column].name.clone(),
        epsilon: place.test?,
        strategies: pair.map(|strategy| strategy.to_string()),
        n: 0,
        clean_errors: 0,
        misclassified: [0; 2],
        both: 0,
        published: item.rows[place.row].row.published_overlap,
        records: Vec::new(),
    };
    for &seed in &item.seeds {
        let clean = find(Place { column: clean, test: None, strategy: None, seed, ..*place })?;
        let first = find(Place { strategy: Some(pair[0]), seed, ..*place })?;
        let second = find(Place { strategy: Some(pair[1]), seed, ..*place })?;
        for ((&clean, &first), &second) in
            clean.misclassified.iter().zip(&first.misclassified).zip(&second.misclassified)
        {
            overlap.n += 1;
            overlap.clean_errors += usize::from(clean);
            overlap.misclassified[0] += usize::from(first);
            overlap.misclassified[1] += usize::from(second);
            overlap.both += usize::from(first && second);
        }
        overlap.records.extend([clean, first, second].map(|found| found.key.clone()));
    }
    Some(overlap)
}
