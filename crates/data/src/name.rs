//! Which data set, and which half of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The data sets that ROBIN knows by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// Handwritten digits, 28 x 28 grey (LeCun et al. 1998).
    Mnist,
    /// Small photographs, 32 x 32 RGB (Krizhevsky 2009).
    Cifar10,
}

impl DatasetName {
    /// Every data set.
    pub const ALL: &'static [Self] = &[Self::Mnist, Self::Cifar10];

    /// Image shape `[c, h, w]`.
    pub fn shape(self) -> [usize; 3] {
        match self {
            Self::Mnist => [1, 28, 28],
            Self::Cifar10 => [3, 32, 32],
        }
    }

    /// Number of classes.
    pub fn num_classes(self) -> usize {
        self.class_names().len()
    }

    /// What the classes are called, by label.
    pub fn class_names(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
            Self::Cifar10 => {
                &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
            }
        }
    }

    /// The folder of its files inside a data folder: `mnist`, `cifar-10-batches-bin`.
    pub fn folder(self, data_dir: &Path) -> PathBuf {
        data_dir.join(match self {
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar-10-batches-bin",
        })
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Mnist => "mnist",
            Self::Cifar10 => "cifar10",
        })
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied().find(|name| name.to_string() == text);
        known.ok_or_else(|| Error::UnknownDataset { text: text.to_owned() })
    }
}

/// The half of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For evaluation, never for choosing anything.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_through_text_and_serde_alike() {
        for &name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
        }
        let message = "svhn".parse::<DatasetName>().unwrap_err().to_string();
        for &name in DatasetName::ALL {
            assert!(message.contains(&name.to_string()), "{message}");
        }
    }
}
