//! Records as people read them: the paper's tables with the published numbers beside the measured ones, its
//! figures, what became of its claims.
//!
//! Reading order: [`report`] (what is shown), `finding` (what it comes to), [`page`] (the HTML), [`sheet`] (a table in the paper's layout),
//! [`chart`] (figures as SVG and PNG), [`bundle`] (the folder of it all); [`summary`] is what a terminal shows,
//! [`table`] and [`figure`] all that there is as text.
//!
//! Invariant: nothing is computed here that is not already in the outcome, and nothing that makes a number
//! look better than it is: intervals, n, the union over attacks and what the profile shrank are always shown.

pub mod bundle;
pub mod chart;
mod cite;
pub mod error;
pub mod figure;
mod finding;
pub mod live;
pub mod page;
mod picture;
pub mod report;
pub mod sheet;
pub mod summary;
pub mod table;
#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use figure::text as figure_text;
pub use live::{Live, LiveItem, LiveNetwork};
pub use page::html;
pub use report::Report;
pub use table::markdown;
