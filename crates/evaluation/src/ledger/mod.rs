//! Every attack on every example, kept; and every summary computed from it.

mod run;
mod summary;
#[cfg(test)]
mod tests;

use robin_attacks::Config;
use robin_core::Budget;
use serde::{Deserialize, Serialize};

use crate::{Clean, Error, Evaluation, Options, Result, compact};
pub use run::{AttackSetup, Order, Which};
pub use summary::{AttackSummary, Summary};

/// What is known about one classifier on one data set: which class was predicted for every example, clean and
/// after every run of every attack, how large each perturbation was and what it cost.
///
/// Every summary is computed from here, so that it can be made again from the file, per example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Form of the file; this program reads [`Ledger::FORMAT`].
    pub format: u32,
    /// [`robin_data::Dataset::sha256`] of the examples.
    pub data_sha256: String,
    /// True classes, `[n]`.
    #[serde(with = "compact::classes")]
    pub labels: Vec<u32>,
    /// Decisions on the clean images.
    pub clean: Clean,
    /// Every run, in the order in which they were made.
    pub runs: Vec<Run>,
}

/// One run of one attack: one restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What the run is called in summaries; runs with one name are restarts of one attack.
    pub attack: String,
    /// Which scores it maximised.
    pub strategy: String,
    /// Which loss.
    pub loss: String,
    /// Its budget.
    pub budget: Budget,
    /// The base attack with its settings, where it is one of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Number of the restart, from 0.
    pub restart: u32,
    /// Whether it met only what earlier runs had failed on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
    /// The examples that were attacked; the others were misclassified before.
    #[serde(with = "compact::bits")]
    pub attacked: Vec<bool>,
    /// Verdicts by the best that the attack found; of an example that was not attacked, as it stood before.
    pub outcome: crate::Outcome,
    /// Networks run forward, `[n]`.
    #[serde(with = "compact::counts")]
    pub forward: Vec<u32>,
    /// Networks run backward, `[n]`.
    #[serde(with = "compact::counts")]
    pub backward: Vec<u32>,
    /// Input gradients taken, `[n]`.
    #[serde(with = "compact::counts")]
    pub gradients: Vec<u32>,
    /// How many of them were exactly zero, `[n]`.
    #[serde(with = "compact::counts")]
    pub zero_gradients: Vec<u32>,
}

impl Ledger {
    /// The form that this program writes.
    pub const FORMAT: u32 = 1;

    /// Classifies the clean images; no attack yet.
    ///
    /// # Errors
    /// As [`Evaluation::clean`].
    pub fn begin(evaluation: &Evaluation<'_>, options: &mut Options<'_>) -> Result<Self> {
        let (clean, data) = (evaluation.clean(options)?, evaluation.data);
        let labels = data.labels().iter().map(|&label| u32::from(label)).collect();
        let data_sha256 = data.sha256()?.to_owned();
        Ok(Self { format: Self::FORMAT, data_sha256, labels, clean, runs: Vec::new() })
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Compact JSON, one line.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|source| Error::Json { what: "the ledger", source })
    }

    /// Reads [`Ledger::to_json`]'s text, and checks that all of it is about the same examples.
    ///
    /// # Errors
    /// [`Error::Json`] for other text, [`Error::Format`] for another form, [`Error::Examples`] where lengths
    /// differ.
    pub fn from_json(text: &str) -> Result<Self> {
        let ledger: Self =
            robin_files::json::parse(text).map_err(|source| Error::Json { what: "the ledger", source })?;
        if ledger.format != Self::FORMAT {
            return Err(Error::Format { found: ledger.format, expected: Self::FORMAT });
        }
        let expected = ledger.len();
        let lengths = ledger.runs.iter().flat_map(|run| {
            [
                ("a run's attacked", run.attacked.len()),
                ("a run's outcome", run.outcome.len()),
                ("a run's forward counts", run.forward.len()),
                ("a run's backward counts", run.backward.len()),
                ("a run's gradient counts", run.gradients.len()),
                ("a run's zero-gradient counts", run.zero_gradients.len()),
            ]
        });
        match lengths.chain([("clean", ledger.clean.len())]).find(|&(_, found)| found != expected) {
            Some((what, found)) => Err(Error::Examples { what, found, expected }),
            None => Ok(ledger),
        }
    }
}
