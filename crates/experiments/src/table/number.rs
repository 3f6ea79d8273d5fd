//! One number of a table, from the evaluations behind it.

use std::collections::BTreeMap;

use robin_attacks::Config;
use robin_core::Epsilon;
use robin_evaluation::wilson;

use super::{RanCell, SeedResult, TableCell};
use crate::cell::evaluation::Misses;
use crate::plan::{Place, PlannedItem};

/// One evaluation's verdicts.
pub(crate) struct Found {
    pub(crate) place: Place,
    /// What was made on it; `None` when clean. Of several stages the first.
    pub(crate) attack: Option<Config>,
    pub(crate) misclassified: Misses,
    /// Share of the input gradients that were exactly zero.
    pub(crate) zero_gradients: f64,
    pub(crate) key: String,
}

/// A number's place, all seeds and strategies together.
#[derive(Clone)]
pub(crate) struct At {
    pub(crate) row: usize,
    pub(crate) classifier: usize,
    pub(crate) column: usize,
    /// The columns whose evaluations it is made of: its own, or of a union those of all attacks.
    pub(crate) made_of: Vec<usize>,
    pub(crate) test: Option<Epsilon>,
}

impl At {
    pub(crate) fn holds(&self, place: &Place) -> bool {
        (place.row, place.classifier, place.test) == (self.row, self.classifier, self.test)
            && self.made_of.contains(&place.column)
    }
}

/// What the evaluations say of one number.
struct Measured {
    strategy: Option<String>,
    strategies: BTreeMap<String, f64>,
    accuracy: f64,
    seeds: Vec<SeedResult>,
    n: usize,
    records: Vec<String>,
}

/// One number, or `None` while an attack, strategy or seed of it is missing.
pub(super) fn cell(item: &PlannedItem, results: &[Found], at: &At) -> Option<TableCell> {
    let planned = &item.rows[at.row];
    let (spec, column) = (&item.classifiers[at.classifier], &item.columns[at.column]);
    let measured = match column.union {
        true => over_attacks(item, results, at)?,
        false => by_strategy(item, results, at)?,
    };
    let Measured { strategy, strategies, accuracy, seeds, n, records } = measured;
    let interval = wilson((accuracy * n as f64).round() as u64, n as u64);
    let row = &planned.row;
    let test_at = row.tests().iter().position(|test| Some(*test) == at.test).unwrap_or(0);
    let several = row.test.is_some();
    let published_strategies = row
        .published_strategies
        .get(&spec.name)
        .and_then(|columns| columns.get(&column.name))
        .map(|printed| printed.iter().filter_map(|(k, v)| Some((k.clone(), *v.get(test_at)?))).collect())
        .unwrap_or_default();
    Some(TableCell {
        dataset: row.dataset,
        model: row.model.clone(),
        norm: row.norm,
        epsilon: at.test.unwrap_or(if several { Epsilon::ZERO } else { row.epsilon }),
        classifier: spec.name.clone(),
        attack: column.name.clone(),
        strategy,
        strategies,
        accuracy,
        union: mean(&seeds.iter().map(|seed| seed.union).collect::<Vec<_>>()),
        n,
        low: interval.low,
        high: interval.high,
        published: row
            .published
            .get(&spec.name)
            .and_then(|printed| printed.get(column.published.as_ref().unwrap_or(&column.name)))
            .and_then(|printed| printed.at(test_at)),
        published_strategies,
        row: row.label(),
        train_epsilon: several.then_some(row.epsilon),
        printed_epsilon: row.printed.as_ref().map(|printed| match at.test {
            Some(_) => printed.test[test_at].clone(),
            None => "0".to_owned(),
        }),
        stand_in: row.stand_in.clone(),
        beyond: row.beyond || spec.beyond || column.beyond,
        records,
        ran: RanCell { ran: planned.classifiers[at.classifier].clone()?, seeds },
    })
}

/// Clean, or under one attack with each of its strategies.
fn by_strategy(item: &PlannedItem, results: &[Found], at: &At) -> Option<Measured> {
    let mut strategies = Vec::new();
    for (place, _) in item.places.iter().filter(|(place, _)| at.holds(place)) {
        if !strategies.contains(&place.strategy) {
            strategies.push(place.strategy);
        }
    }
    let find = |seed, strategy| {
        results.iter().find(|found| {
            at.holds(&found.place) && found.place.seed == seed && found.place.strategy == strategy
        })
    };
    // [strategy][seed]
    let found: Vec<Vec<&Found>> = strategies
        .iter()
        .map(|&strategy| item.seeds.iter().map(|&seed| find(seed, strategy)).collect::<Option<Vec<_>>>())
        .collect::<Option<_>>()?;
    let accuracies: Vec<Vec<f64>> = found
        .iter()
        .map(|seeds| seeds.iter().map(|found| accuracy(&found.misclassified)).collect())
        .collect();
    let means: Vec<f64> = accuracies.iter().map(|seeds| mean(seeds)).collect();
    let strongest = (0..means.len()).min_by(|&a, &b| means[a].total_cmp(&means[b]))?;
    let seeds = item.seeds.iter().zip(&accuracies[strongest]).map(|(&seed, &of_strongest)| {
        let union = accuracy(&misclassified_by_any(item, results, at, seed)?);
        Some(SeedResult { seed, accuracy: of_strongest, union })
    });
    let name = |at: usize| strategies[at].map(|strategy| strategy.to_string());
    Some(Measured {
        strategy: name(strongest),
        strategies: (0..means.len()).filter_map(|at| Some((name(at)?, means[at]))).collect(),
        accuracy: means[strongest],
        seeds: seeds.collect::<Option<_>>()?,
        n: found[0][0].misclassified.len(),
        records: found.iter().flatten().map(|found| found.key.clone()).collect(),
    })
}

/// Under all attacks with all of their strategies.
fn over_attacks(item: &PlannedItem, results: &[Found], at: &At) -> Option<Measured> {
    let misclassified: Vec<Misses> = item
        .seeds
        .iter()
        .map(|&seed| misclassified_by_any(item, results, at, seed))
        .collect::<Option<_>>()?;
    let seeds: Vec<SeedResult> = item
        .seeds
        .iter()
        .zip(&misclassified)
        .map(|(&seed, misclassified)| SeedResult {
            seed,
            accuracy: accuracy(misclassified),
            union: accuracy(misclassified),
        })
        .collect();
    Some(Measured {
        strategy: None,
        strategies: BTreeMap::new(),
        accuracy: mean(&seeds.iter().map(|seed| seed.accuracy).collect::<Vec<_>>()),
        seeds,
        n: misclassified[0].len(),
        records: results
            .iter()
            .filter(|found| at.holds(&found.place))
            .map(|found| found.key.clone())
            .collect(),
    })
}

/// What any attack or strategy at `at` breaks; `None` while one is missing. An image is judged by those that were made on
/// it, so that no attack on a few images hides what another does to the rest.
pub(crate) fn misclassified_by_any(
    item: &PlannedItem,
    results: &[Found],
    at: &At,
    seed: u64,
) -> Option<Misses> {
    let here = |place: &Place| at.holds(place) && place.seed == seed;
    let planned = item.places.iter().filter(|(place, _)| here(place)).count();
    let found: Vec<&Misses> =
        results.iter().filter(|found| here(&found.place)).map(|found| &found.misclassified).collect();
    if planned == 0 || found.len() != planned {
        return None;
    }
    // An attack on fewer images is one on the first of them.
    let images = found.iter().map(|misclassified| misclassified.len()).max()?;
    Some(
        (0..images)
            .map(|image| found.iter().any(|misclassified| misclassified.get(image) == Some(&true)))
            .collect(),
    )
}

/// Share of examples that are not misclassified.
pub(crate) fn accuracy(misclassified: &[bool]) -> f64 {
    misclassified.iter().filter(|misclassified| !**misclassified).count() as f64 / misclassified.len() as f64
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
