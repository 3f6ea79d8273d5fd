//! The battery of sanity checks: tests that a robust accuracy should survive before anyone believes it.
//!
//! Each test is one file with one function and one line in [`TESTS`]; it looks for one way in which an attack
//! can fail silently, and answers with numbers and pass, warn or fail. The tests keep the numbers of the list
//! that they come from; those that are missing here need training runs. People call them by the names of their
//! [`Explained`] texts, which stand beside them.

mod calibration;
mod context;
mod differences;
mod families;
mod gradients;
mod indicators;
mod invariance;
mod large_budget;
mod noise;
mod ordering;
mod other_attacks;
mod precision;
mod queries;
mod restarts;
mod saved;
mod scale;
mod steps;
mod strategies;
mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod transformed;
mod transforms;
mod zero_budget;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Explained, Result};
pub use context::{EvaluationContext, Kind, Precise, SUBSET, Settings, subset_size};

/// How much of the battery is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Some images from all over the set, 64 or what [`subset_size`] says, and fewer steps, restarts and samples.
    Subset,
    /// Everything that there is.
    Full,
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing suspicious.
    Pass,
    /// Look at the numbers.
    Warn,
    /// The robust accuracy should not be believed.
    Fail,
    /// It does not apply here; the note says why.
    Skipped,
}

/// What a test found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// `T1`...
    pub test: String,
    /// What it asks.
    pub name: String,
    /// Its answer.
    pub status: Status,
    /// The numbers behind it.
    pub numbers: BTreeMap<String, f64>,
    /// One sentence on what they mean.
    pub note: String,
}

/// A test's answer, before it has its name.
struct Answer {
    status: Status,
    numbers: BTreeMap<String, f64>,
    note: String,
}

impl Answer {
    fn new(
        status: Status,
        numbers: impl IntoIterator<Item = (String, f64)>,
        note: impl Into<String>,
    ) -> Self {
        let numbers = numbers.into_iter().map(|(name, value)| (name, rounded(value))).collect();
        Self { status, numbers, note: note.into() }
    }
}

/// Six significant digits, so that a finding reads back as it was written; beyond all bounds is 1e9, because
/// JSON has no infinity.
fn rounded(value: f64) -> f64 {
    let bounded = if value.is_nan() { 1e9 } else { value.clamp(-1e9, 1e9) };
    format!("{bounded:.5e}").parse().unwrap_or(bounded)
}

/// One test of the battery.
pub struct Test {
    /// `T1`...
    pub id: &'static str,
    /// What it asks.
    pub name: &'static str,
    /// Its name by what is wrong where it fails, what that means, and what to do.
    pub explained: &'static Explained,
    run: fn(&EvaluationContext<'_>) -> Result<Answer>,
}

/// Lists tests by number, file and question.
macro_rules! tests {
    ($($id:literal $file:ident: $name:literal,)*) => {
        &[$(Test { id: $id, name: $name, explained: &$file::EXPLAINED, run: $file::run }),*]
    };
}

/// Every test.
pub static TESTS: &[Test] = tests![
    "T1" zero_budget: "at epsilon 0 every verdict is the clean one",
    "T2" sweep: "accuracy never rises with epsilon",
    "T3" large_budget: "a large epsilon breaks everything",
    "T4" steps: "more steps change nothing any more",
    "T5" restarts: "more restarts change nothing any more",
    "T6" ordering: "iterated beats single step beats noise beats nothing",
    "T7" noise: "random noise finds nothing that gradients miss",
    "T9" queries: "queries without gradients find nothing that gradients miss",
    "T11" other_attacks: "other attacks are no stronger than PGD",
    "T12" strategies: "other strategies are no stronger than the paper's",
    "T13" gradients: "gradients are there: clean, at the start, at the end",
    "T14" transforms: "attacks on scores beat attacks on probabilities",
    "T15" scale: "the scale of the scores changes nothing",
    "T16" precision: "close calls are the same in f64",
    "T17" invariance: "batch size, order and threads change nothing",
    "T18" saved: "saved adversarial examples hold when read again",
    "T21" differences: "input gradients are true through every loss",
    "T22" calibration: "recalibrated scores are no weaker",
    "T29" indicators: "attacks ran to their end, and nothing succeeded unseen",
    "T30" families: "attacks of another family than PGD are among those tried",
];

/// The test that is called `T13`, or `gradients-vanish`.
pub fn test(name: &str) -> Option<&'static Test> {
    TESTS.iter().find(|test| test.id == name || test.explained.name == name)
}

/// What people call the test with this number: `gradients-vanish (T13)`; a number that is on no list is left as it is.
pub fn title(id: &str) -> String {
    test(id).map_or(id.to_owned(), |test| format!("{} ({id})", test.explained.name))
}
