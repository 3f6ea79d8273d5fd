//! Which classes belong together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The splits of ten classes in the paper (appendix C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitName {
    /// CIFAR-10: bird, cat, deer, dog, frog, horse; then airplane, automobile, ship, truck.
    AnimalsObjects,
    /// Classes 0 to 4, then 5 to 9.
    First5Last5,
}

impl SplitName {
    /// Every split.
    pub const ALL: &'static [Self] = &[Self::AnimalsObjects, Self::First5Last5];

    /// Its groups.
    pub fn split(self) -> Split {
        let groups = match self {
            Self::AnimalsObjects => [vec![2, 3, 4, 5, 6, 7], vec![0, 1, 8, 9]],
            Self::First5Last5 => [vec![0, 1, 2, 3, 4], vec![5, 6, 7, 8, 9]],
        };
        Split::new(groups.into()).expect("every class is in one group")
    }

    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnimalsObjects => "animals-objects",
            Self::First5Last5 => "first5-last5",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SplitName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied().find(|name| name.as_str() == text);
        known.ok_or_else(|| Error::Split { text: text.to_owned() })
    }
}

/// Classes in groups: each class in exactly one, no group empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    groups: Vec<Vec<u32>>,
    /// Group of each class, and its place there.
    places: Vec<(usize, usize)>,
}

impl Split {
    /// The split into `groups`.
    ///
    /// # Errors
    /// [`Error::Groups`] unless there are two groups or more, none empty, and every class below their total
    /// is in exactly one.
    pub fn new(groups: Vec<Vec<u32>>) -> Result<Self> {
        let classes: usize = groups.iter().map(Vec::len).sum();
        let mut places = vec![None; classes];
        let mut sound = groups.len() >= 2 && groups.iter().all(|group| !group.is_empty());
        for (group, members) in groups.iter().enumerate() {
            for (at, &class) in members.iter().enumerate() {
                match places.get_mut(class as usize) {
                    Some(place @ None) => *place = Some((group, at)),
                    _ => sound = false,
                }
            }
        }
        match places.into_iter().collect::<Option<Vec<_>>>() {
            Some(places) if sound => Ok(Self { groups, places }),
            _ => Err(Error::Groups { groups }),
        }
    }

    /// Classes of each group, in the order of its fine network's outputs.
    pub fn groups(&self) -> &[Vec<u32>] {
        &self.groups
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.places.len()
    }

    /// Group of `class`, and its place in that group.
    pub(crate) fn place(&self, class: usize) -> (usize, usize) {
        self.places[class]
    }
}
