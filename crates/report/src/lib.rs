//! Records as people read them: the paper's tables with the published numbers beside the measured ones, its
//! figures, what became of its claims.
//!
//! Reading order: [`report`] (what is shown), [`page`] (the HTML), [`sheet`] (a table in the paper's layout),
//! [`chart`] (figures as SVG and PNG), [`bundle`] (the folder of it all); [`mod@audit`] (one classifier, with a verdict); [`table`] and [`figure`] are the text for the terminal.
//!
//! Invariant: nothing is computed here that is not already in the outcome, and nothing that makes a number
//! look better than it is: intervals, n, the union over attacks and what the profile shrank are always shown.

pub mod audit;
pub mod bundle;
pub mod chart;
pub mod error;
pub mod figure;
pub mod page;
mod picture;
pub mod report;
pub mod sheet;
pub mod table;
#[cfg(test)]
mod tests;

pub use audit::Audit;
pub use error::{Error, Result};
pub use figure::text as figure_text;
pub use page::html;
pub use report::Report;
pub use table::markdown;
