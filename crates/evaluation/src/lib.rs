//! Clean and robust accuracy by the counting rules, with intervals and the union over attacks.
//!
//! ```
//! use robin_evaluation::{Outcome, accuracy, interval, union};
//!
//! # fn main() -> robin_evaluation::Result<()> {
//! let outcome = |misclassified: [bool; 4]| Outcome { misclassified: misclassified.to_vec(), predictions: vec![0; 4], sizes: vec![0.1; 4] };
//! let (first, second) = (outcome([true, false, false, false]), outcome([false, true, false, false]));
//! let misclassified = union(&[&first, &second])?;
//! let known = interval(&misclassified);
//! println!("robust accuracy {:.2}, 95% interval {:.2} to {:.2}", accuracy(&misclassified), known.low, known.high);
//! assert_eq!(accuracy(&misclassified), 0.5);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/own_classifier.rs` attacks a classifier of one's own and asks whether the number can be believed.
//!
//! Reading order: [`Evaluation`] (who is asked, by what rule, about what; its measurements are methods, each in its own
//! file), [`outcome`] (what is kept of them, per example), [`ledger`] (every attack, and every summary from it),
//! [`witnesses`] (what anyone can check), [`statistics`], [`external_model`] (can this classifier be attacked at all?),
//! [`battery`] (can the number be believed?) and [`controls`] (does the battery notice?).
//!
//! Invariants: every example is counted, also those misclassified clean; no result depends on batch size,
//! order or threads; a perturbation outside its budget is an error, never a number.

pub mod battery;
pub mod blind;
pub mod clean;
pub mod combine;
mod compact;
pub mod controls;
pub mod distances;
pub mod error;
pub mod evaluation;
pub mod explained;
pub mod external_model;
pub mod ledger;
pub mod one_class;
pub mod options;
pub mod outcome;
mod robust;
pub mod scattered;
pub mod statistics;
#[cfg(test)]
mod tests;
pub mod transferred;
pub mod weak_cw;
pub mod witnesses;

pub use blind::{Blind, blind};
pub use clean::Clean;
pub use combine::{Lowest, paper, union};
pub use distances::Distances;
pub use error::{Error, Result};
pub use evaluation::Evaluation;
pub use explained::Explained;
pub use ledger::{AttackSetup, Ledger, Order, Run, Summary, Which};
pub use one_class::{OneClassAccuracy, OneClassStrategy};
pub use options::{MOST_BATCH, Observer, Options, Progress};
pub use outcome::{CostTotals, Outcome, Robust};
pub use scattered::scattered;
pub use statistics::{
    ENOUGH_SEEDS, Estimate, Interval, McNemar, Replicate, Spread, Verdict, accuracy, gap, interval, mcnemar,
    paired, spread, student, verdict, wilson,
};
pub use transferred::Transferred;
pub use weak_cw::{WeakCw, WeakPgd, cw_is_weak, pgd_is_weak};
pub use witnesses::{Verification, Witnesses};

/// Raised by any change in this crate that can move a reported number; part of every record's key.
pub const NUMERICS: u32 = 1;
