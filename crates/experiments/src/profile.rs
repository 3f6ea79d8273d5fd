//! How much of the paper's work is done.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::{Error, Result};

/// How much of the paper's work is done; never how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Minutes on 2 cores, from the data inside the program. Proves that the whole path works.
    Smoke,
    /// Hours.
    Quick,
    /// A night on 2 cores: CIFAR-10 at real accuracy, by a recipe that is not the paper's.
    Night,
    /// The paper's settings exactly.
    Paper,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 4] = [Profile::Smoke, Profile::Quick, Profile::Night, Profile::Paper];
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Profile::Smoke => "smoke",
            Profile::Quick => "quick",
            Profile::Night => "night",
            Profile::Paper => "paper",
        })
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|profile| profile.to_string() == text).ok_or_else(|| Error::Unknown {
            what: "profile",
            given: text.to_owned(),
            valid: Self::ALL.map(|profile| profile.to_string()).join(", "),
        })
    }
}
