//! Numbers that claims are about, found among the items.

use serde::Deserialize;

use super::noise;
use crate::figure::{Bins, Panel, Shape, Source};
use crate::{Item, TableCell};

/// Above this share of right answers on clean images a network of ten classes has learned anything: 15 points over
/// chance.
const LEARNED: f64 = 0.25;

/// Which number of which item. One selector may find several, one for each row, panel or budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Select {
    /// An accuracy of a table.
    Accuracy(Accuracy),
    /// How a classifier's lead over another grows beyond the training budget.
    Growth(Growth),
    /// A point of a line whose values are means over class orders, with a deviation as its band.
    Point {
        item: String,
        /// What the line's name begins with.
        series: String,
        /// Where; the right end if absent.
        x: Option<f64>,
        /// Only panels of whose figure and title this is a part.
        panel: Option<String>,
    },
    /// The mean of a histogram whose name begins so.
    Mean {
        item: String,
        mean: String,
        /// Only panels of whose figure and title this is a part.
        panel: Option<String>,
    },
    /// One of [`Item::values`].
    Value { item: String, value: String },
}

/// An accuracy of a table.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Accuracy {
    item: String,
    classifier: String,
    attack: String,
    /// This strategy's, in place of the strongest one's.
    strategy: Option<String>,
    /// Only rows whose name contains this.
    rows: Option<String>,
    /// Which test budgets.
    #[serde(default)]
    at: Budgets,
}

/// Of each row of a table, the lead of one classifier over another at the next test budget beyond the training budget, less
/// their lead at the training budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Growth {
    item: String,
    /// The first one's lead over the second one.
    growth: [String; 2],
    attack: String,
}

/// Which test budgets of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Budgets {
    /// All of them, each compared with itself.
    #[default]
    Each,
    /// The training budget.
    Training,
    /// The next one beyond it.
    Next,
    /// The largest one beyond it.
    Largest,
}

/// A number with what is known of its noise.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What it is compared by: numbers of one place belong together.
    pub(super) place: String,
    pub(super) value: f64,
    /// Half the width of its 95% interval.
    pub(super) error: f64,
    pub(super) seeds: usize,
    pub(super) records: Vec<String>,
    /// Whether its classifier is better than chance on clean images; true where no table says.
    pub(super) learned: bool,
}

impl Select {
    /// Whether this and `other` are of different rows on purpose.
    pub(super) fn is_of_other_rows(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Accuracy(one), Self::Accuracy(other)) => one.rows != other.rows,
            _ => false,
        }
    }

    /// Every such number.
    pub(super) fn find(&self, items: &[Item]) -> Vec<Found> {
        let named = |name: &String| items.iter().find(|item| item.name == *name);
        // With their places; an item may have two figures with the same panels.
        let panels = |item: &String, part: &Option<String>| -> Vec<(String, &Panel)> {
            let figures = named(item).into_iter().flat_map(|item| &item.figures);
            let all = figures.flat_map(|figure| {
                figure.panels.iter().map(|panel| (format!("{}, {}", figure.id, panel.title), panel))
            });
            all.filter(|(place, _)| part.as_ref().is_none_or(|part| place.contains(part))).collect()
        };
        match self {
            Self::Accuracy(accuracy) => {
                named(&accuracy.item).map(|item| accuracy.find(item, items)).unwrap_or_default()
            }
            Self::Growth(growth) => {
                named(&growth.item).map(|item| growth.find(item, items)).unwrap_or_default()
            }
            Self::Point { item, series, x, panel } => panels(item, panel)
                .into_iter()
                .filter_map(|(place, panel)| point(place, panel, series, *x))
                .map(|found| Found { learned: panel_learned(items, &found.place), ..found })
                .collect(),
            Self::Mean { item, mean, panel } => panels(item, panel)
                .into_iter()
                .filter_map(|(place, panel)| mean_of(place, panel, mean))
                .map(|found| Found { learned: panel_learned(items, &found.place), ..found })
                .collect(),
            Self::Value { item, value } => named(item)
                .into_iter()
                .flat_map(|item| &item.values)
                .filter(|found| found.name == *value)
                .map(|found| Found {
                    place: found.row.clone(),
                    value: found.value,
                    error: found.error,
                    seeds: found.seeds,
                    records: found.records.clone(),
                    learned: clean_cells(items).filter(|cell| cell.row == found.row).all(has_learned),
                })
                .collect(),
        }
    }
}

fn has_learned(cell: &TableCell) -> bool {
    cell.accuracy >= LEARNED
}

/// Clean accuracies of the paper's classifiers.
fn clean_cells(items: &[Item]) -> impl Iterator<Item = &TableCell> {
    let cells = items.iter().filter_map(|item| item.table.as_ref()).flat_map(|table| &table.cells);
    cells.filter(|cell| cell.attack == "clean" && !cell.beyond)
}

/// Whether the classifier of `cell` has learned anything.
fn cell_learned(items: &[Item], cell: &TableCell) -> bool {
    let of = |clean: &&TableCell| clean.row == cell.row && clean.classifier == cell.classifier;
    clean_cells(items).filter(of).all(has_learned)
}

/// Whether the classifiers of the row that a panel's title describes have learned anything.
fn panel_learned(items: &[Item], title: &str) -> bool {
    let words = |cell: &TableCell| [cell.dataset.to_string(), cell.model.clone(), cell.norm.to_string()];
    clean_cells(items).filter(|cell| words(cell).iter().all(|word| title.contains(word))).all(has_learned)
}

impl Accuracy {
    fn cells<'a>(&self, item: &'a Item) -> Vec<&'a TableCell> {
        let wanted = |cell: &&TableCell| {
            // The paper claims nothing of what it has not got.
            !cell.beyond
                && cell.classifier == self.classifier
                && cell.attack == self.attack
                && self.rows.as_ref().is_none_or(|part| cell.row.contains(part))
        };
        // Of all classifiers: what one has not been tested at cannot be compared there.
        let beyond = |cell: &TableCell| -> Vec<f64> {
            let Some(train) = cell.train_epsilon else { return Vec::new() };
            let cells =
                item.table.iter().flat_map(|table| &table.cells).filter(|other| other.row == cell.row);
            cells.map(|other| other.epsilon.get()).filter(|epsilon| *epsilon > train.get()).collect()
        };
        let at = |cell: &&TableCell| match self.at {
            Budgets::Each => true,
            Budgets::Training => cell.train_epsilon.is_none_or(|train| train == cell.epsilon),
            Budgets::Next => beyond(cell).into_iter().reduce(f64::min) == Some(cell.epsilon.get()),
            Budgets::Largest => beyond(cell).into_iter().reduce(f64::max) == Some(cell.epsilon.get()),
        };
        item.table.iter().flat_map(|table| &table.cells).filter(wanted).filter(at).collect()
    }

    fn find(&self, item: &Item, items: &[Item]) -> Vec<Found> {
        self.cells(item)
            .into_iter()
            .filter_map(|cell| {
                // Of all strategies at once, so that no choice of one favours a classifier.
                let (value, by_seed) = match &self.strategy {
                    None => (cell.union, cell.ran.seeds.iter().map(|seed| seed.union).collect()),
                    Some(strategy) => (*cell.strategies.get(strategy)?, Vec::new()),
                };
                Some(Found {
                    place: match cell.train_epsilon {
                        Some(_) => format!("{} at {}", cell.row, cell.epsilon),
                        None => cell.row.clone(),
                    },
                    value,
                    error: noise::of_images(value, cell.n).hypot(noise::of_seeds(&by_seed)),
                    seeds: cell.ran.seeds.len(),
                    records: cell.records.clone(),
                    learned: cell_learned(items, cell),
                })
            })
            .collect()
    }
}

impl Growth {
    fn find(&self, item: &Item, items: &[Item]) -> Vec<Found> {
        let cells = |classifier: &String, at| {
            let (classifier, attack) = (classifier.clone(), self.attack.clone());
            Accuracy { item: item.name.clone(), classifier, attack, strategy: None, rows: None, at }
                .cells(item)
        };
        let [ahead, behind] = &self.growth;
        let others =
            [cells(behind, Budgets::Next), cells(ahead, Budgets::Training), cells(behind, Budgets::Training)];
        let growth = |next: &TableCell| {
            let partner =
                |cells: &Vec<&TableCell>| cells.iter().find(|cell| cell.row == next.row).copied().cloned();
            let [next_behind, trained, trained_behind] = others.each_ref().map(partner);
            let all = [next.clone(), next_behind?, trained?, trained_behind?];
            let of = |value: fn(&TableCell, usize) -> f64, seed| {
                let [a, b, c, d] = all.each_ref().map(|cell| value(cell, seed));
                (a - b) - (c - d)
            };
            let seeds = all.iter().map(|cell| cell.ran.seeds.len()).min().unwrap_or(0);
            let by_seed: Vec<f64> =
                (0..seeds).map(|seed| of(|cell, seed| cell.ran.seeds[seed].union, seed)).collect();
            // As if the four were of different images, which is more than the noise on the same ones.
            let images = all.iter().map(|cell| noise::of_images(cell.union, cell.n)).fold(0.0, f64::hypot);
            Some(Found {
                place: next.row.clone(),
                value: of(|cell, _| cell.union, 0),
                error: images.hypot(noise::of_seeds(&by_seed)),
                seeds,
                records: all.iter().flat_map(|cell| cell.records.clone()).collect(),
                learned: all.iter().all(|cell| cell_learned(items, cell)),
            })
        };
        cells(ahead, Budgets::Next).into_iter().filter_map(growth).collect()
    }
}

fn point(place: String, panel: &Panel, name: &str, x: Option<f64>) -> Option<Found> {
    let Shape::Lines(lines) = &panel.shape else { return None };
    let line = lines.iter().find(|line| line.name.starts_with(name) && line.source == Source::Measured)?;
    let point = match x {
        Some(x) => line.points.iter().find(|point| (point.x - x).abs() < 1e-9)?,
        None => line.points.last()?,
    };
    let orders = point.n.unwrap_or(1);
    let deviation = point.band.map_or(0.0, |[low, high]| (high - low) / 2.0);
    let error = noise::of_deviation(deviation, orders);
    Some(Found { place, value: point.y, error, seeds: orders, records: point.records.clone(), learned: true })
}

fn mean_of(place: String, panel: &Panel, name: &str) -> Option<Found> {
    let Shape::Histogram(sets) = &panel.shape else { return None };
    let set: &Bins = sets.iter().find(|set| set.name.starts_with(name))?;
    let mean = set.mean?;
    let middles = set.edges.windows(2).map(|edges| (edges[0] + edges[1]) / 2.0);
    let total: u64 = set.counts.iter().sum();
    let squares: f64 =
        middles.zip(&set.counts).map(|(middle, count)| *count as f64 * (middle - mean).powi(2)).sum();
    // Class orders share their images, which count once.
    let (deviation, orders) = ((squares / total as f64).sqrt(), set.records.len().max(1));
    Some(Found {
        place,
        value: mean,
        error: 1.96 * deviation / (total as f64 / orders as f64).sqrt(),
        seeds: set.records.len(),
        records: set.records.clone(),
        learned: true,
    })
}
