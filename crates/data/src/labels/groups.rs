//! Ten classes in two groups, for hierarchical classifiers.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The first-stage splits of the paper's appendix C (Figure 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Groups {
    /// CIFAR-10's six animals (group 0), four objects (group 1).
    AnimalsObjects,
    /// Classes 0 to 4 (group 0), 5 to 9 (group 1).
    First5Last5,
}

impl Groups {
    /// Every split.
    pub const ALL: &'static [Self] = &[Self::AnimalsObjects, Self::First5Last5];

    /// The classes of each group, rising.
    pub fn members(self) -> &'static [&'static [u32]] {
        match self {
            Self::AnimalsObjects => &[&[2, 3, 4, 5, 6, 7], &[0, 1, 8, 9]],
            Self::First5Last5 => &[&[0, 1, 2, 3, 4], &[5, 6, 7, 8, 9]],
        }
    }

    pub(super) fn validate(self, of: usize) -> Result<()> {
        let classes: usize = self.members().iter().map(|group| group.len()).sum();
        if classes == of {
            return Ok(());
        }
        let allowed = format!("groups of {of} classes; these have {classes}");
        Err(Error::LabelMap { field: "groups", value: format!("{self:?}"), allowed })
    }
}
