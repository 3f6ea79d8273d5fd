//! The battery of doubts: tests that a robust accuracy should survive before anyone believes it.
//!
//! Each test is one file with one function and one line in [`TESTS`]; it looks for one way in which an attack
//! can fail silently, and answers with numbers and pass, warn or fail. The tests keep the numbers of the list
//! that they come from; those that are missing here need training runs.

mod bench;
mod calibration;
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

use crate::Result;
pub use bench::{Bench, Kind, Precise, SUBSET};

/// How much of the battery is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// 64 images from all over the set, and fewer steps, restarts and samples.
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
    run: fn(&Bench<'_>) -> Result<Answer>,
}

/// Every test.
pub static TESTS: &[Test] = &[
    Test { id: "T1", name: "at epsilon 0 every verdict is the clean one", run: zero_budget::run },
    Test { id: "T2", name: "accuracy never rises with epsilon", run: sweep::run },
    Test { id: "T3", name: "a large epsilon breaks everything", run: large_budget::run },
    Test { id: "T4", name: "more steps change nothing any more", run: steps::run },
    Test { id: "T5", name: "more restarts change nothing any more", run: restarts::run },
    Test { id: "T6", name: "iterated beats single step beats noise beats nothing", run: ordering::run },
    Test { id: "T7", name: "random noise finds nothing that gradients miss", run: noise::run },
    Test { id: "T9", name: "queries without gradients find nothing that gradients miss", run: queries::run },
    Test { id: "T11", name: "other attacks are no stronger than PGD", run: other_attacks::run },
    Test { id: "T12", name: "other strategies are no stronger than the paper's", run: strategies::run },
    Test { id: "T13", name: "gradients are there: clean, at the start, at the end", run: gradients::run },
    Test { id: "T14", name: "attacks on scores beat attacks on probabilities", run: transforms::run },
    Test { id: "T15", name: "the scale of the scores changes nothing", run: scale::run },
    Test { id: "T16", name: "close calls are the same in f64", run: precision::run },
    Test { id: "T17", name: "batch size, order and threads change nothing", run: invariance::run },
    Test { id: "T18", name: "saved adversarial examples hold when read again", run: saved::run },
    Test { id: "T21", name: "input gradients are true through every loss", run: differences::run },
    Test { id: "T22", name: "recalibrated scores are no weaker", run: calibration::run },
    Test { id: "T29", name: "attacks ran to their end, and nothing succeeded unseen", run: indicators::run },
    Test { id: "T30", name: "attacks of another family than PGD are among those tried", run: families::run },
];
