//! How far a reproduction is: for a page that is looked at while it goes on.

use robin_experiments::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::table::number;

/// Everything that is shown of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Seconds until the page loads itself again.
    pub every: u64,
    /// Item by item.
    pub items: Vec<LiveItem>,
    /// Network by network.
    pub networks: Vec<LiveNetwork>,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveItem {
    /// Its heading.
    pub title: String,
    /// Cells that have a record.
    pub done: usize,
    /// All of its cells.
    pub cells: usize,
}

/// One network, finished or in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveNetwork {
    /// What it is called in the plan.
    pub label: String,
    /// Epochs that it will have.
    pub epochs: usize,
    /// Mean training loss, epoch by epoch, as far as it is.
    pub losses: Vec<f64>,
    /// Accuracy on the batches of the last epoch that ended.
    pub accuracy: Option<f64>,
    /// Of the finished network, on its own training images under attack.
    pub robust: Option<f64>,
}

impl LiveNetwork {
    /// The network of a record; `None` if it is no network's.
    pub fn of(record: &Record) -> Option<Self> {
        if record.kind != Kind::Network {
            return None;
        }
        let epochs = record.results["epochs"].as_array()?;
        let losses: Vec<f64> = epochs.iter().filter_map(|epoch| epoch["loss"].as_f64()).collect();
        let label = record.provenance.get("label").and_then(Value::as_str)?;
        Some(Self {
            label: label.to_owned(),
            epochs: epochs.len(),
            accuracy: epochs.last()?["accuracy"].as_f64(),
            losses,
            robust: record.results["training_set"]["worst"]["accuracy"].as_f64(),
        })
    }

    /// The last loss in words.
    pub(crate) fn loss_words(&self) -> String {
        self.losses.last().map_or_else(|| "–".to_owned(), |loss| format!("{loss:.4}"))
    }

    pub(crate) fn accuracy_words(&self) -> String {
        self.accuracy.map_or_else(|| "–".to_owned(), number)
    }

    pub(crate) fn robust_words(&self) -> String {
        self.robust.map_or_else(|| "–".to_owned(), number)
    }

    /// Its losses as a line in a box of 100 by 20, for the page; empty with fewer than two.
    pub(crate) fn line(&self) -> String {
        let finite =
            |losses: &[f64]| losses.iter().copied().filter(|loss| loss.is_finite()).fold(0.0, f64::max);
        let highest = finite(&self.losses);
        if self.losses.len() < 2 || highest <= 0.0 {
            return String::new();
        }
        let step = 100.0 / (self.epochs.max(self.losses.len()) - 1) as f64;
        let point = |(at, loss): (usize, &f64)| {
            let share = (loss / highest).clamp(0.0, 1.0);
            format!(
                "{:.1},{:.1}",
                step * at as f64,
                19.0 - 18.0 * if share.is_finite() { share } else { 1.0 }
            )
        };
        self.losses.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    }
}
