//! What an item shows: beside the paper's own numbers, and in a profile.

use std::collections::BTreeSet;

use super::{ClassifierSpec, Column, Row, Spec};
use crate::Profile;

impl Spec {
    /// The item as the paper has it: nothing that is marked as beyond it.
    #[must_use]
    pub fn of_the_paper(mut self) -> Self {
        self.classifiers.retain(|ClassifierSpec { beyond, .. }| !beyond);
        self.keep_columns(|Column { beyond, .. }| !beyond);
        self.rows.retain(|Row { beyond, .. }| !beyond);
        let known = |name: &String| self.classifiers.iter().any(|classifier| classifier.name == *name);
        self.compare.retain(|pair| pair.iter().all(known));
        self
    }

    /// The item with the columns that `profile` has.
    #[must_use]
    pub fn in_profile(mut self, profile: Profile) -> Self {
        self.keep_columns(|column| column.profiles.as_ref().is_none_or(|all| all.contains(&profile)));
        self
    }

    /// Leaves out the other columns, and the attacks that only these have.
    fn keep_columns(&mut self, keep: impl Fn(&Column) -> bool) {
        let attacks = |columns: &[Column]| -> BTreeSet<String> {
            columns.iter().filter_map(|column| column.attack.clone()).collect()
        };
        let all = attacks(&self.columns);
        self.columns.retain(keep);
        let kept = attacks(&self.columns);
        self.attacks.retain(|name, _| kept.contains(name) || !all.contains(name));
    }
}
