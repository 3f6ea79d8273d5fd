//! Figures that are more than a table's numbers drawn: what is made of the records of their cells ([`crate::cell`]).
//!
//! Reading order: [`mod@figures`], then the drawing of each.

mod class_counts;
mod drawing;
pub mod figures;

pub use crate::plan::study::{PlannedStudy, StudyPart, StudyPlace};
pub use figures::figures;
