//! What an item shows beside the paper's own numbers.

use super::{ClassifierSpec, Column, Row, Spec};

impl Spec {
    /// The item as the paper has it: nothing that is marked as beyond it.
    #[must_use]
    pub fn of_the_paper(mut self) -> Self {
        self.classifiers.retain(|ClassifierSpec { beyond, .. }| !beyond);
        self.columns.retain(|Column { beyond, .. }| !beyond);
        self.rows.retain(|Row { beyond, .. }| !beyond);
        let known = |name: &String| self.classifiers.iter().any(|classifier| classifier.name == *name);
        self.compare.retain(|pair| pair.iter().all(known));
        self
    }
}
