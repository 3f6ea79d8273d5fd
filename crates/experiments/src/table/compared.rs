//! Differences between classifiers and between attacks, example by example.

use robin_core::{Epsilon, Norm};
use robin_evaluation::{Verdict, mcnemar, verdict};
use serde::Serialize;

use super::{Found, mean, union_accuracy};
use crate::plan::PlannedItem;
use crate::run::Broken;
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
    /// Misclassified clean, and so broken by both.
    pub clean_errors: usize,
    /// Broken by each, clean errors included.
    pub broken: [usize; 2],
    /// Broken by both, clean errors included.
    pub both: usize,
}

impl Overlap {
    /// Of the examples that the first breaks and that were right when clean, the share that the second breaks too;
    /// `None` if there are none.
    pub fn inside(&self) -> Option<f64> {
        let own = self.broken[0] - self.clean_errors;
        (own > 0).then(|| (self.both - self.clean_errors) as f64 / own as f64)
    }
}

pub(super) fn comparisons(item: &PlannedItem, results: &[Found]) -> Result<Vec<Comparison>> {
    let mut found = Vec::new();
    for pair in &item.compare {
        let at = |name: &String| item.classifiers.iter().position(|classifier| classifier.name == *name);
        let [Some(baseline), Some(classifier)] = [at(&pair[0]), at(&pair[1])] else { continue };
        for row in 0..item.rows.len() {
            for column in 0..item.columns.len() {
                for test in super::tests(item, row, classifier, column) {
                    // [seed]: what any strategy breaks.
                    let union = |classifier: usize| -> Option<Vec<Broken>> {
                        item.seeds
                            .iter()
                            .map(|&seed| any(item, results, row, classifier, column, test, seed))
                            .collect()
                    };
                    let (Some(first), Some(second)) = (union(classifier), union(baseline)) else { continue };
                    let pairs: Vec<(&[bool], &[bool])> =
                        first.iter().zip(&second).map(|(a, b)| (&a[..], &b[..])).collect();
                    let p =
                        pairs.iter().map(|(a, b)| mcnemar(a, b).map(|test| test.p)).collect::<Result<_, _>>();
                    let judged: Verdict =
                        verdict(&pairs).map_err(Error::work("comparing two classifiers"))?;
                    let accuracy =
                        |of: &[Broken]| mean(&of.iter().map(|b| union_accuracy(&[b])).collect::<Vec<_>>());
                    found.push(Comparison {
                        row: item.rows[row].row.label(),
                        norm: item.rows[row].row.norm,
                        epsilon: test,
                        attack: item.columns[column].name.clone(),
                        classifier: item.classifiers[classifier].name.clone(),
                        baseline: item.classifiers[baseline].name.clone(),
                        gap: accuracy(&first) - accuracy(&second),
                        p: p.map_err(Error::work("comparing two classifiers"))?,
                        verdict: judged.to_string(),
                    });
                }
            }
        }
    }
    Ok(found)
}

/// What any strategy breaks; `None` while one is missing.
fn any(
    item: &PlannedItem,
    results: &[Found],
    row: usize,
    classifier: usize,
    column: usize,
    test: Option<Epsilon>,
    seed: u64,
) -> Option<Broken> {
    let here = |place: &crate::plan::Place| {
        (place.row, place.classifier, place.column, place.seed) == (row, classifier, column, seed)
            && place.test == test
    };
    let planned = item.places.iter().filter(|(place, _)| here(place)).count();
    let found: Vec<&Broken> =
        results.iter().filter(|found| here(&found.place)).map(|found| &found.broken).collect();
    if planned == 0 || found.len() != planned {
        return None;
    }
    Some((0..found[0].len()).map(|example| found.iter().any(|broken| broken[example])).collect())
}

pub(super) fn overlaps(item: &PlannedItem, results: &[Found]) -> Vec<Overlap> {
    let mut all = Vec::new();
    for pair in &item.overlaps {
        for (row, planned) in item.rows.iter().enumerate() {
            for (classifier, spec) in item.classifiers.iter().enumerate() {
                let clean_column = item.columns.iter().position(|column| column.attack.is_none());
                for (column, attack) in item.columns.iter().enumerate() {
                    for test in super::tests(item, row, classifier, column).into_iter().flatten() {
                        let of = |column, test, strategy, seed| {
                            results.iter().find(|found| {
                                let p = &found.place;
                                (p.row, p.classifier, p.column, p.seed) == (row, classifier, column, seed)
                                    && p.test == test
                                    && p.strategy == strategy
                            })
                        };
                        let mut overlap = Overlap {
                            row: planned.row.label(),
                            classifier: spec.name.clone(),
                            attack: attack.name.clone(),
                            epsilon: test,
                            strategies: pair.map(|strategy| strategy.to_string()),
                            n: 0,
                            clean_errors: 0,
                            broken: [0; 2],
                            both: 0,
                        };
                        let mut whole = true;
                        for &seed in &item.seeds {
                            let clean = clean_column.and_then(|clean| of(clean, None, None, seed));
                            let [first, second] =
                                pair.map(|strategy| of(column, Some(test), Some(strategy), seed));
                            let (Some(clean), Some(first), Some(second)) = (clean, first, second) else {
                                whole = false;
                                continue;
                            };
                            for ((&clean, &first), &second) in
                                clean.broken.iter().zip(&first.broken).zip(&second.broken)
                            {
                                overlap.n += 1;
                                overlap.clean_errors += usize::from(clean);
                                overlap.broken[0] += usize::from(first);
                                overlap.broken[1] += usize::from(second);
                                overlap.both += usize::from(first && second);
                            }
                        }
                        if whole && overlap.n > 0 {
                            all.push(overlap);
                        }
                    }
                }
            }
        }
    }
    all
}
