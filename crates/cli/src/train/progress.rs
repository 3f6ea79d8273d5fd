//! A training's progress on standard error: a line for each running network on a terminal, one per epoch elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use robin_experiments::Error;
use robin_experiments::logs::EpochRow;
use robin_experiments::record::Record;
use robin_experiments::training_run::{Progress, TrainingRun, Watch};
use robin_report::table::duration;
use robin_training::{Continued, Warning};

use super::chain;
use super::warnings::words;
use crate::terminal::{bars, say};

/// Resolution of a bar.
const UNITS: f64 = 1_000.0;

fn names(run: &TrainingRun) -> Vec<String> {
    run.arms.iter().map(|arm| arm.name.clone()).collect()
}

fn beginning(run: &TrainingRun, missing: &[usize]) -> String {
    format!("{} of {} networks to train", missing.len(), run.arms.len())
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

fn pace(progress: &Progress) -> String {
    format!("{:.0} images/s, {} left", progress.images_per_second, duration(progress.seconds_left))
}

/// A bar for each running network.
pub(super) struct Bars {
    names: Vec<String>,
    bars: MultiProgress,
    running: Mutex<BTreeMap<usize, Running>>,
}

struct Running {
    bar: ProgressBar,
    /// Of the last epoch that ended.
    accuracies: String,
}

impl Bars {
    pub(super) fn new(run: &TrainingRun) -> Self {
        Self { names: names(run), bars: bars(), running: Mutex::default() }
    }

    fn with(&self, arm: usize, change: impl FnOnce(&mut Running)) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&arm) {
            change(running);
        }
    }

    fn say(&self, arm: usize, text: &str) {
        say!("{}: {text}", self.names[arm]);
    }

    fn end(&self, arm: usize) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&arm) {
            running.bar.finish_and_clear();
        }
    }
}

impl Watch for Bars {
    fn begin(&self, run: &TrainingRun, missing: &[usize]) {
        say!("{}", beginning(run, missing));
    }

    fn started(&self, arm: usize, continued: &Continued) {
        if let Some(text) = place(continued) {
            self.say(arm, &text);
        }
        let bar = self.bars.add(ProgressBar::new(UNITS as u64));
        let style = ProgressStyle::with_template("{prefix:>10} {bar:20} {percent:>3}% {msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.set_prefix(self.names[arm].clone());
        let running = Running { bar, accuracies: String::new() };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(arm, running);
    }

    fn step(&self, arm: usize, progress: &Progress) {
        self.with(arm, |Running { bar, accuracies }| {
            let Progress { epoch, epochs, step, steps, loss, fraction, .. } = *progress;
            bar.set_position((fraction * UNITS) as u64);
            let now = format!("epoch {epoch}/{epochs} step {step}/{steps} loss {loss:.4}");
            let before = if accuracies.is_empty() { String::new() } else { format!(" (last {accuracies})") };
            bar.set_message(format!("{now}, {}{before}", pace(progress)));
        });
    }

    fn epoch(&self, arm: usize, row: &EpochRow, _progress: Option<&Progress>) {
        self.with(arm, |running| running.accuracies = accuracies(row));
    }

    fn warning(&self, arm: usize, warning: &Warning) {
        self.say(arm, &format!("warning: {}", words(warning)));
    }

    fn unsaved(&self, arm: usize, error: &dyn std::error::Error) {
        self.say(arm, &format!("warning: {}", chain(error)));
    }

    fn finished(&self, arm: usize, _record: &Record) {
        self.end(arm);
        self.say(arm, "done");
    }

    fn failed(&self, arm: usize, error: &Error) {
        self.end(arm);
        self.say(arm, &format!("failed: {}", error.chain()));
    }
}

/// A line for each epoch of each network.
pub(super) struct Lines {
    names: Vec<String>,
}

impl Lines {
    pub(super) fn new(run: &TrainingRun) -> Self {
        Self { names: names(run) }
    }
}

impl Watch for Lines {
    fn begin(&self, run: &TrainingRun, missing: &[usize]) {
        say!("{}", beginning(run, missing));
    }

    fn started(&self, arm: usize, continued: &Continued) {
        if let Some(text) = place(continued) {
            say!("{}: {text}", self.names[arm]);
        }
    }

    fn epoch(&self, arm: usize, row: &EpochRow, progress: Option<&Progress>) {
        let pace = progress.map_or(String::new(), |progress| format!(", {}", pace(progress)));
        say!("{}: {}{pace}", self.names[arm], accuracies(row));
    }

    fn warning(&self, arm: usize, warning: &Warning) {
        say!("{}: warning: {}", self.names[arm], words(warning));
    }

    fn unsaved(&self, arm: usize, error: &dyn std::error::Error) {
        say!("{}: warning: {}", self.names[arm], chain(error));
    }

    fn finished(&self, arm: usize, _record: &Record) {
        say!("{}: done", self.names[arm]);
    }

    fn failed(&self, arm: usize, error: &Error) {
        say!("{}: failed: {}", self.names[arm], error.chain());
    }
}
