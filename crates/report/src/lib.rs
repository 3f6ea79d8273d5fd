//! Records as text: the paper's tables with the published numbers beside the measured ones.
//!
//! Reading order: [`report`] (what is shown), [`table`] (the text that serves the terminal and Markdown files).
//!
//! Invariant: nothing is computed here that is not already in the outcome, and nothing that makes a number
//! look better than it is: intervals, n, the union over attacks and what the profile shrank are always shown.

pub mod report;
pub mod table;
#[cfg(test)]
mod tests;

pub use report::{Item, Report};
pub use table::markdown;
