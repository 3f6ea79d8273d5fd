//! Records as people read them: the paper's tables with the published numbers beside the measured ones, its
//! figures, what became of its claims.
//!
//! ```
//! use robin_experiments::{Environment, Plan, Profile, Request, Spec, collect};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request {
//!     profile: Profile::Smoke,
//!     rows: Some("mnist/cnn2/linf".to_owned()),
//!     beyond: false,
//!     seeds: None,
//!     reading: None,
//!     attack_images: Default::default(),
//!     device: "cpu".parse()?,
//!     data_dir: None,
//! };
//! let plan = Plan::new(&[Spec::named("table-1")?], &request)?;
//! // A folder without records: the table says what was published, and that nothing is measured yet.
//! let items = collect(&plan, "no/records/here".as_ref(), &Environment::detect(None))?;
//! let table = items[0].table.as_ref().expect("it is a table");
//! println!("{}", robin_report::markdown(table));
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`report`] (what is shown), `finding` (what it comes to), [`page`] (the HTML), [`sheet`] (a table in the paper's layout),
//! [`chart`] (figures as SVG and PNG), [`bundle`] (the folder of it all); [`mod@audit`] (one classifier, with a verdict); [`summary`] is what a terminal shows,
//! [`table`] and [`figure`] all that there is as text.
//!
//! Invariant: nothing is computed here that is not already in the outcome, and nothing that makes a number
//! look better than it is: intervals, n, the union over attacks and what the profile shrank are always shown.

pub mod audit;
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

pub use audit::Audit;
pub use error::{Error, Result};
pub use figure::text as figure_text;
pub use live::{Live, LiveItem, LiveNetwork};
pub use page::html;
pub use report::Report;
pub use table::markdown;
