//! What every figure of a study is drawn from.

use super::{PlannedStudy, StudyPlace};
use crate::figure::{Figure, Panel};
use crate::plan::{PlannedItem, PlannedRow};
use crate::record::Record;
use crate::{Plan, Profile};

/// A result and where it belongs.
pub(super) struct Found<'a> {
    pub(super) place: StudyPlace,
    pub(super) record: &'a Record,
}

/// What is drawn from.
pub(super) struct Drawing<'a> {
    pub(super) plan: &'a Plan,
    pub(super) item: &'a PlannedItem,
    pub(super) study: &'a PlannedStudy,
    pub(super) found: Vec<Found<'a>>,
}

impl Drawing<'_> {
    /// A figure with the notes that all have.
    pub(super) fn figure(&self, caption: &str, panels: Vec<Panel>, notes: Vec<String>) -> Figure {
        let mut all = self.item.notes.clone();
        all.extend(notes);
        for row in &self.item.rows {
            if let Some(stand_in) = &row.row.stand_in {
                all.push(format!("{}: {stand_in}", row.row.label()));
            }
            if !row.shrunk.is_empty() {
                all.push(format!("{}: {}", row.row.label(), row.shrunk.join("; ")));
            }
        }
        let attacks = self.item.shrunk_attacks.iter().map(|(_, how)| how);
        all.extend(self.study.shrunk.iter().chain(attacks).cloned());
        Figure {
            id: self.item.item.clone(),
            title: self.item.title.clone(),
            caption: Some(caption.to_owned()),
            panels,
            notes: all,
            comparable: self.plan.profile == Profile::Paper,
        }
    }
}

/// The row's data, model and budget, and the budget as the paper's axis has it where that is another number.
pub(super) fn named(row: &PlannedRow) -> String {
    let printed = row.row.printed.as_ref().map(|printed| format!(", printed as {}", printed.epsilon));
    format!(
        "{}, {}, trained at {} {}{}",
        row.row.dataset,
        row.ran.model,
        row.row.norm,
        row.row.epsilon,
        printed.unwrap_or_default()
    )
}
