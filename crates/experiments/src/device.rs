//! What does the arithmetic, by its name on the command line.

use std::fmt;
use std::str::FromStr;

use robin_nn::Executor;

use crate::{Error, Result};

/// A device that this build can use. A name that it cannot use never falls back to another.
#[derive(Clone, Copy)]
pub struct Device {
    executor: &'static dyn Executor,
}

impl Device {
    /// What runs the networks there.
    pub fn executor(self) -> &'static dyn Executor {
        self.executor
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.executor.name())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "cpu" {
            let executor = robin_nn::executor(text).map_err(Error::work("choosing the executor"))?;
            return Ok(Self { executor });
        }
        let ordinal = text.strip_prefix("cuda").map(|rest| rest.strip_prefix(':').unwrap_or(rest));
        if ordinal.is_some_and(|ordinal| ordinal.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Error::MissingFeature { device: text.to_owned(), feature: "cuda" });
        }
        Err(Error::Unknown {
            what: "device",
            given: text.to_owned(),
            valid: "cpu, or cuda:N in a build with the feature `cuda`".to_owned(),
        })
    }
}
