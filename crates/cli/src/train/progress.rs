//! A training's progress on standard error: a line for each running network on a terminal, one per epoch elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use robin_experiments::logs::EpochRow;
use robin_experiments::record::Record;
use robin_experiments::{Error, Observer, Progress, TrainingStep, Watched};
use robin_report::table::duration;
use robin_training::{Continued, Warning};

use super::chain;
use super::warnings::words;
use crate::terminal::{bars, say};

/// Resolution of a bar.
const UNITS: f64 = 1_000.0;

fn beginning(total: usize, missing: &[usize]) -> String {
    format!("{} of {total} networks to train", missing.len())
}

fn place(continued: &Continued) -> Option<String> {
    let from = continued.from.as_ref()?;
    Some(format!(
        "continued after {} epochs and {} steps, from {}",
        continued.epoch,
        continued.step,
        from.display()
    ))
}

/// What an epoch came to.
fn accuracies(row: &EpochRow) -> String {
    let percent = |share: f64| format!("{:.1}%", 100.0 * share);
    let mut text =
        format!("epoch {}/{} loss {:.4} accuracy {}", row.epoch, row.epochs, row.loss, percent(row.accuracy));
    if let (Some(clean), Some(robust)) = (row.clean_accuracy, row.robust_accuracy) {
        text += &format!(", held out clean {} robust {}", percent(clean), percent(robust));
    }
    text
}

fn pace(now: &TrainingStep) -> String {
    format!("{:.0} images/s, {} left", now.images_per_second, duration(now.seconds_left))
}

fn tell(cell: &Watched<'_>, text: &str) {
    say!("{}: {text}", cell.label);
}

/// A bar for each running network.
pub(super) struct Bars {
    bars: MultiProgress,
    running: Mutex<BTreeMap<usize, Running>>,
}

struct Running {
    bar: ProgressBar,
    /// Of the last epoch that ended.
    accuracies: String,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self { bars: bars(), running: Mutex::default() }
    }

    fn with(&self, cell: &Watched<'_>, change: impl FnOnce(&mut Running)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.get_mut(&cell.index) {
            change(running);
        }
    }

    fn end(&self, cell: &Watched<'_>) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&cell.index)
        {
            running.bar.finish_and_clear();
        }
    }
}

impl Observer for Bars {
    fn begin(&self, total: usize, missing: &[usize]) {
        say!("{}", beginning(total, missing));
    }

    fn continued(&self, cell: &Watched<'_>, continued: &Continued) {
        if let Some(text) = place(continued) {
            tell(cell, &text);
        }
        let bar = self.bars.add(ProgressBar::new(UNITS as u64));
        let style = ProgressStyle::with_template("{prefix:>10} {bar:20} {percent:>3}% {msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.set_prefix(cell.label.to_owned());
        let running = Running { bar, accuracies: String::new() };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(cell.index, running);
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        self.with(cell, |Running { bar, accuracies: before }| match progress {
            Progress::Step(now) => {
                let TrainingStep { epoch, epochs, step, steps, loss, fraction, .. } = *now;
                bar.set_position((fraction * UNITS) as u64);
                let last = if before.is_empty() { String::new() } else { format!(" (last {before})") };
                let at = format!("epoch {epoch}/{epochs} step {step}/{steps} loss {loss:.4}");
                bar.set_message(format!("{at}, {}{last}", pace(now)));
            }
            Progress::Epoch { row, .. } => *before = accuracies(row),
            Progress::Examples { .. } => {}
        });
    }

    fn warned(&self, cell: &Watched<'_>, warning: &Warning) {
        tell(cell, &format!("warning: {}", words(warning)));
    }

    fn unsaved(&self, cell: &Watched<'_>, error: &dyn std::error::Error) {
        tell(cell, &format!("warning: {}", chain(error)));
    }

    fn finished(&self, cell: &Watched<'_>, _: &Record, _: f64) {
        self.end(cell);
        tell(cell, "done");
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        self.end(cell);
        tell(cell, &format!("failed: {}", error.chain()));
    }
}

/// A line for each epoch of each network.
pub(super) struct Lines;

impl Observer for Lines {
    fn begin(&self, total: usize, missing: &[usize]) {
        say!("{}", beginning(total, missing));
    }

    fn continued(&self, cell: &Watched<'_>, continued: &Continued) {
        if let Some(text) = place(continued) {
            tell(cell, &text);
        }
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        if let Progress::Epoch { row, last } = progress {
            let pace = last.map_or(String::new(), |now| format!(", {}", pace(&now)));
            tell(cell, &format!("{}{pace}", accuracies(row)));
        }
    }

    fn warned(&self, cell: &Watched<'_>, warning: &Warning) {
        tell(cell, &format!("warning: {}", words(warning)));
    }

    fn unsaved(&self, cell: &Watched<'_>, error: &dyn std::error::Error) {
        tell(cell, &format!("warning: {}", chain(error)));
    }

    fn finished(&self, cell: &Watched<'_>, _: &Record, _: f64) {
        tell(cell, "done");
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        tell(cell, &format!("failed: {}", error.chain()));
    }
}
