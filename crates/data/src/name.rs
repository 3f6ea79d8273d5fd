//! Which data set, and which half of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::entry::DatasetEntry;
use crate::published::{cifar10, cifar100, fashion_mnist, mnist, svhn};
use crate::{Error, Result};

/// Each data set that is known by name, with its file in [`crate::published`].
macro_rules! datasets {
    ($($name:literal $variant:ident $module:ident,)+) => {
        /// The data sets that ROBIN knows by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum DatasetName {
            $(
                #[doc = concat!("`", $name, "`: see [`DatasetEntry::summary`].")]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl DatasetName {
            /// Every data set.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What is known of it.
            pub fn entry(self) -> &'static DatasetEntry {
                match self {
                    $(Self::$variant => &$module::ENTRY,)+
                }
            }
        }
    };
}

datasets! {
    "mnist" Mnist mnist,
    "fashion-mnist" FashionMnist fashion_mnist,
    "cifar10" Cifar10 cifar10,
    "cifar100" Cifar100 cifar100,
    "svhn" Svhn svhn,
}

impl DatasetName {
    /// Image shape `[c, h, w]`.
    pub fn shape(self) -> [usize; 3] {
        self.entry().shape
    }

    /// Number of classes.
    pub fn num_classes(self) -> usize {
        self.class_names().len()
    }

    /// What the classes are called, by label.
    pub fn class_names(self) -> &'static [&'static str] {
        self.entry().class_names
    }

    /// Whether a part of it is inside the program.
    pub fn has_subset(self) -> bool {
        !self.entry().embedded[1].is_empty()
    }

    /// Whether its images are photographs.
    pub fn is_of_photographs(self) -> bool {
        self.shape()[0] == 3
    }

    /// Whether a mirror leaves its images what they are, as it does not digits.
    pub fn may_be_mirrored(self) -> bool {
        self.entry().may_be_mirrored
    }

    /// The folder of its files inside a data folder: `mnist`, `cifar-10-batches-bin`.
    pub fn folder(self, data_dir: &Path) -> PathBuf {
        data_dir.join(self.entry().folder)
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.entry().name)
    }
}

impl FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = Self::ALL.iter().copied().find(|name| name.entry().name == text);
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

impl Split {
    /// Where it stands in pairs: training first.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Train => 0,
            Self::Test => 1,
        }
    }
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
    use crate::entry::Format;

    #[test]
    fn names_go_through_text_and_serde_alike() {
        for &name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
            let entry = name.entry();
            let pixels: usize = entry.shape.iter().product();
            for (files, examples) in entry.files.into_iter().zip(entry.examples) {
                let bytes: u64 = files.iter().map(|file| file.size).sum();
                // Labels and headers are a byte or two an example.
                let others = bytes.wrapping_sub((examples * pixels) as u64);
                // MATLAB's files are compressed.
                let is_compressed = entry.format == Format::Matlab;
                assert!(
                    is_compressed || (examples as u64..=2 * examples as u64 + 24).contains(&others),
                    "{name}: {others}"
                );
                assert!(files.iter().all(|file| file.sha256.len() == 64), "{name}");
            }
        }
        let message = "imagenet".parse::<DatasetName>().unwrap_err().to_string();
        for &name in DatasetName::ALL {
            assert!(message.contains(&name.to_string()), "{message}");
        }
    }
}
