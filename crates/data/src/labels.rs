//! What a network is asked to tell apart.

mod groups;
mod order;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use groups::Groups;
pub use order::class_order;

/// From a data set's labels to a network's. Some maps say nothing about some classes
/// ([`LabelMap::keeps`]): their networks learn from [`crate::Dataset::restricted`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelMap {
    /// Every class by itself.
    Identity,
    /// One class against all others: 1 = "is `class`", 0 = "is another".
    OneVsAll {
        /// The class, a label of the data set.
        class: u32,
    },
    /// `MODEL[j]` of the paper's section 3.2, j = `classes`: the first j - 1 classes of `order` by themselves
    /// (0 to j - 2), all others together in `OTHER[j]` (j - 1). Class 1 of the paper is `order[0]`, label 0.
    Other {
        /// j: labels that are told apart, at least 2, at most all classes.
        classes: usize,
        /// Every class of the data set once; see [`class_order`].
        order: Vec<u32>,
    },
    /// The first stage of appendix C: the number of the class's group.
    Coarse {
        /// How classes are grouped.
        groups: Groups,
    },
    /// A second stage of appendix C: the place of the class in its group. Keeps that group alone.
    Fine {
        /// How classes are grouped.
        groups: Groups,
        /// Number of the group.
        group: usize,
    },
    /// Class `a` (1) against class `b` (0), as in one-vs-one. Keeps these two alone.
    OneVsOne {
        /// A label of the data set.
        a: u32,
        /// Another one.
        b: u32,
    },
}

impl LabelMap {
    /// The mapped label.
    ///
    /// # Errors
    /// [`Error::NotKept`] for a label that the map says nothing about.
    pub fn apply(&self, label: impl Into<u32>) -> Result<u32> {
        let label = label.into();
        self.mapped(label).ok_or_else(|| Error::NotKept { label, map: format!("{self:?}") })
    }

    /// The mapped labels of a whole data set, `[n]`, as [`crate::epoch`] takes them.
    ///
    /// # Errors
    /// [`Error::NotKept`] for the first label that the map says nothing about.
    pub fn apply_all(&self, labels: &[u16]) -> Result<Vec<u32>> {
        labels.iter().map(|&label| self.apply(label)).collect()
    }

    /// Whether the map says what becomes of `label`.
    pub fn keeps(&self, label: impl Into<u32>) -> bool {
        self.mapped(label.into()).is_some()
    }

    /// Number of mapped classes, for a data set of `of` classes.
    pub fn num_classes(&self, of: usize) -> usize {
        match self {
            Self::Identity => of,
            Self::OneVsAll { .. } | Self::OneVsOne { .. } => 2,
            Self::Other { classes, .. } => *classes,
            Self::Coarse { groups } => groups.members().len(),
            Self::Fine { groups, group } => groups.members().get(*group).map_or(0, |group| group.len()),
        }
    }

    /// Refuses a map that does not suit a data set of `of` classes.
    ///
    /// # Errors
    /// [`Error::Class`] for a class that there is not; [`Error::LabelMap`] for a number of classes outside
    /// 2 to `of`, an order that is none, groups of other classes, and one class against itself.
    pub fn validate(&self, of: usize) -> Result<()> {
        let class = |class: u32| match (class as usize) < of {
            true => Ok(()),
            false => Err(Error::Class { class, classes: of }),
        };
        let refuse = |field, value: String, allowed: String| Err(Error::LabelMap { field, value, allowed });
        match self {
            Self::Identity => Ok(()),
            Self::OneVsAll { class: one } => class(*one),
            Self::Other { classes, order } => {
                if !(2..=of).contains(classes) {
                    return refuse("classes", classes.to_string(), format!("2 to {of}"));
                }
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..of as u32) {
                    return refuse("order", format!("{order:?}"), format!("each of 0 to {} once", of - 1));
                }
                Ok(())
            }
            Self::Coarse { groups } => groups.validate(of),
            Self::Fine { groups, group } => {
                groups.validate(of)?;
                let count = groups.members().len();
                if *group >= count {
                    return refuse("group", group.to_string(), format!("0 to {}", count - 1));
                }
                Ok(())
            }
            Self::OneVsOne { a, b } => {
                class(*a)?;
                class(*b)?;
                if a == b {
                    return refuse("b", b.to_string(), format!("a class other than a = {a}"));
                }
                Ok(())
            }
        }
    }

    fn mapped(&self, label: u32) -> Option<u32> {
        let place = |classes: &[u32]| classes.iter().position(|&class| class == label).map(|at| at as u32);
        match self {
            Self::Identity => Some(label),
            Self::OneVsAll { class } => Some(u32::from(label == *class)),
            Self::Other { classes, order } => {
                place(order).map(|at| at.min(u32::try_from(classes.saturating_sub(1)).unwrap_or(u32::MAX)))
            }
            Self::Coarse { groups } => {
                groups.members().iter().position(|group| group.contains(&label)).map(|at| at as u32)
            }
            Self::Fine { groups, group } => groups.members().get(*group).and_then(|group| place(group)),
            Self::OneVsOne { a, b } => (label == *a || label == *b).then_some(u32::from(label == *a)),
        }
    }
}

#[cfg(test)]
mod tests;
