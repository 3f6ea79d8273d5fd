//! A run's progress on standard error: bars on a terminal, lines elsewhere.

use std::collections::{BTreeMap, HashSet};
use std::mem::{Discriminant, discriminant};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use robin_experiments::record::{Kind, Record};
use robin_experiments::{Error, Observer, Plan, Progress, TrainingStep, Watched, cost};
use robin_report::table::duration;
use robin_training::Warning;

use crate::terminal::{bars, say};

/// Resolution of the overall bar.
const UNITS: f64 = 10_000.0;

/// Running cells that have a line of their own: more would not fit beside what was said before.
const SHOWN: usize = 8;

/// Warnings that were said, so that each is said once for a network, whatever its epochs.
#[derive(Default)]
struct Said(Mutex<HashSet<(usize, Discriminant<Warning>)>>);

impl Said {
    /// The warning in words, the first time.
    fn first(&self, cell: &Watched<'_>, warning: &Warning) -> Option<String> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert((cell.index, discriminant(warning)))
            .then(|| format!("warning: {}: {warning}", cell.label))
    }
}

fn unsaved(cell: &Watched<'_>, error: &dyn std::error::Error) -> String {
    format!("warning: {}: not yet on disk: {error}", cell.label)
}

/// How much of all work each cell is, and how much of it is done.
struct Share {
    weights: Vec<f64>,
    /// Fraction done of each cell that this run is to do.
    fractions: Mutex<BTreeMap<usize, f64>>,
}

impl Share {
    fn new(plan: &Plan) -> Self {
        Self { weights: cost::weights(plan), fractions: Mutex::default() }
    }

    /// Names the cells that will be run.
    fn begin(&self, missing: &[usize]) {
        let none = missing.iter().map(|&index| (index, 0.0));
        self.fractions.lock().unwrap_or_else(PoisonError::into_inner).extend(none);
    }

    /// Sets one cell's fraction; returns the share of this run's work that is done.
    fn set(&self, index: usize, fraction: f64) -> f64 {
        let mut fractions = self.fractions.lock().unwrap_or_else(PoisonError::into_inner);
        fractions.insert(index, fraction);
        let total: f64 = fractions.keys().map(|&index| self.weights[index]).sum();
        let done: f64 = fractions.iter().map(|(&index, fraction)| self.weights[index] * fraction).sum();
        done / total.max(f64::MIN_POSITIVE)
    }
}

/// How much of a cell is done.
fn fraction(progress: &Progress) -> f64 {
    let ratio = |done: usize, of: usize| done as f64 / of.max(1) as f64;
    match *progress {
        Progress::Step(TrainingStep { fraction, .. }) => fraction,
        Progress::Epoch { row, last } => last.map_or(ratio(row.epoch, row.epochs), |now| now.fraction),
        Progress::Examples { done, total, .. } => ratio(done, total),
    }
}

fn words(progress: &Progress) -> String {
    match *progress {
        Progress::Step(TrainingStep { epoch, epochs, step, steps, loss, .. }) => {
            format!("epoch {epoch}/{epochs} step {step}/{steps} loss {loss:.4}")
        }
        Progress::Epoch { row, .. } => {
            format!("epoch {}/{} loss {:.4} accuracy {:.3}", row.epoch, row.epochs, row.loss, row.accuracy)
        }
        Progress::Examples { done, total, misclassified } => {
            format!("{done}/{total} examples, {misclassified} misclassified")
        }
    }
}

/// An overall bar with time left, and a line for each running cell.
pub(crate) struct Bars {
    share: Share,
    bars: MultiProgress,
    overall: ProgressBar,
    running: Mutex<BTreeMap<usize, ProgressBar>>,
    said: Said,
}

impl Bars {
    pub(crate) fn new(plan: &Plan) -> Self {
        let bars = bars();
        let overall = bars.add(ProgressBar::new(UNITS as u64));
        // What is too long for the terminal is cut: a line that wraps is never cleared.
        let style = "{bar:20} {percent:>3}% {elapsed} gone, {eta} left, {wide_msg}";
        overall.set_style(ProgressStyle::with_template(style).expect("the template is a constant"));
        Self { share: Share::new(plan), bars, overall, running: Mutex::default(), said: Said::default() }
    }

    fn set(&self, cell: &Watched<'_>, fraction: f64) {
        self.overall.set_position((self.share.set(cell.index, fraction) * UNITS) as u64);
    }

    fn end(&self, cell: &Watched<'_>) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&cell.index) {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.overall.finish_and_clear();
    }
}

impl Observer for Bars {
    fn begin(&self, total: usize, missing: &[usize]) {
        self.share.begin(missing);
        self.overall.set_message(format!("{} of {total} cells to run", missing.len()));
        self.overall.enable_steady_tick(Duration::from_millis(500));
    }

    fn started(&self, cell: &Watched<'_>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() < SHOWN {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(ProgressStyle::with_template("  {wide_msg}").expect("the template is a constant"));
            bar.set_message(cell.label.to_owned());
            running.insert(cell.index, bar);
        }
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        self.set(cell, fraction(progress));
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&cell.index) {
            bar.set_message(format!("{}: {}", cell.label, words(progress)));
        }
    }

    fn finished(&self, cell: &Watched<'_>, _: &Record, _: f64) {
        self.set(cell, 1.0);
        self.end(cell);
    }

    fn warned(&self, cell: &Watched<'_>, warning: &Warning) {
        if let Some(text) = self.said.first(cell, warning) {
            say!("{text}");
        }
    }

    fn unsaved(&self, cell: &Watched<'_>, error: &dyn std::error::Error) {
        say!("{}", unsaved(cell, error));
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        self.end(cell);
        say!("failed: {}: {}", cell.label, error.chain());
    }
}

/// One line per epoch and per finished cell.
pub(crate) struct Lines {
    share: Share,
    begin: Instant,
    said: Said,
}

impl Lines {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { share: Share::new(plan), begin: Instant::now(), said: Said::default() }
    }
}

impl Observer for Lines {
    fn begin(&self, total: usize, missing: &[usize]) {
        self.share.begin(missing);
        say!("{} of {total} cells to run", missing.len());
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        let done = 100.0 * self.share.set(cell.index, fraction(progress));
        if matches!(progress, Progress::Epoch { .. }) {
            say!("[{done:3.0}%] {}: {}", cell.label, words(progress));
        }
    }

    fn finished(&self, cell: &Watched<'_>, _: &Record, seconds: f64) {
        let done = 100.0 * self.share.set(cell.index, 1.0);
        let kind = match cell.kind {
            Kind::Network => "trained",
            Kind::Evaluation => "evaluated",
        };
        let gone = self.begin.elapsed().as_secs_f64();
        say!("[{done:3.0}%] {kind} {} in {}, {} gone", cell.label, duration(seconds), duration(gone));
    }

    fn warned(&self, cell: &Watched<'_>, warning: &Warning) {
        if let Some(text) = self.said.first(cell, warning) {
            say!("{text}");
        }
    }

    fn unsaved(&self, cell: &Watched<'_>, error: &dyn std::error::Error) {
        say!("{}", unsaved(cell, error));
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        say!("failed: {}: {}", cell.label, error.chain());
    }
}
