//! What an item shows beside the paper's own numbers.

use std::collections::BTreeSet;

use super::{ClassifierSpec, Column, Row, Spec};

impl Spec {
    /// The item as the paper has it: nothing that is marked as beyond it.
    #[must_use]
    pub fn of_the_paper(mut self) -> Self {
        let attacks = |columns: &[Column]| -> BTreeSet<String> {
            columns.iter().filter_map(|column| column.attack.clone()).collect()
        };
        let all = attacks(&self.columns);
        self.classifiers.retain(|ClassifierSpec { beyond, .. }| !beyond);
        self.columns.retain(|Column { beyond, .. }| !beyond);
        let kept = attacks(&self.columns);
        self.attacks.retain(|name, _| kept.contains(name) || !all.contains(name));
        self.rows.retain(|Row { beyond, .. }| !beyond);
        let known = |name: &String| self.classifiers.iter().any(|classifier| classifier.name == *name);
        self.compare.retain(|pair| pair.iter().all(known));
        self
    }
}
