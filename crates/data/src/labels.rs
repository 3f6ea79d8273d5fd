//! What a network is asked to tell apart.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// From a data set's labels to a network's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelMap {
    /// Every class by itself.
    Identity,
    /// One class against all others: 1 = "is `class`", 0 = "is another".
    OneVsAll {
        /// The class, a label of the data set.
        class: u32,
    },
}

impl LabelMap {
    /// The mapped label.
    pub fn apply(&self, label: impl Into<u32>) -> u32 {
        let label = label.into();
        match *self {
            Self::Identity => label,
            Self::OneVsAll { class } => u32::from(label == class),
        }
    }

    /// The mapped labels of a whole data set, `[n]`, as [`crate::epoch`] takes them.
    pub fn apply_all(&self, labels: &[u8]) -> Vec<u32> {
        labels.iter().map(|&label| self.apply(label)).collect()
    }

    /// Number of mapped classes, for a data set of `of` classes.
    pub fn num_classes(&self, of: usize) -> usize {
        match self {
            Self::Identity => of,
            Self::OneVsAll { .. } => 2,
        }
    }

    /// Refuses a map that names a class which a data set of `of` classes does not have.
    ///
    /// # Errors
    /// [`Error::Class`] then.
    pub fn validate(&self, of: usize) -> Result<()> {
        match *self {
            Self::OneVsAll { class } if class as usize >= of => Err(Error::Class { class, classes: of }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vs_all_says_one_for_its_class_alone() {
        let map = LabelMap::OneVsAll { class: 3 };
        assert_eq!(map.apply_all(&[0, 3, 9, 3]), [0, 1, 0, 1]);
        assert_eq!(LabelMap::Identity.apply_all(&[0, 3, 9]), [0, 3, 9]);
        assert_eq!((map.num_classes(10), LabelMap::Identity.num_classes(10)), (2, 10));
    }

    #[test]
    fn a_class_that_there_is_not_is_refused() {
        assert!(LabelMap::OneVsAll { class: 9 }.validate(10).is_ok());
        let refused = LabelMap::OneVsAll { class: 10 }.validate(10);
        assert!(matches!(refused, Err(Error::Class { class: 10, classes: 10 })));
    }

    #[test]
    fn maps_survive_serde_and_refuse_unknown_fields() {
        for map in [LabelMap::Identity, LabelMap::OneVsAll { class: 4 }] {
            let text = serde_json::to_string(&map).unwrap();
            assert_eq!(serde_json::from_str::<LabelMap>(&text).unwrap(), map);
        }
        assert!(serde_json::from_str::<LabelMap>(r#"{"name":"one-vs-all","class":1,"x":2}"#).is_err());
    }
}
