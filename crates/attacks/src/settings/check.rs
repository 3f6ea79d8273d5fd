//! Settings, checked one by one.

use robin_core::Norm;

use crate::{Error, Result};

/// Most steps, queries or candidates of one run: what takes a second each is a fortnight's work for one image.
pub(super) const MOST_STEPS: usize = 1_000_000;
/// Most restarts, and most searches.
pub const MOST_RUNS: usize = 10_000;
/// Most levels of a pixel.
const MOST_LEVELS: usize = 1 << 16;
/// The largest number that is no share: beyond it f32 loses what it is added to.
pub(super) const LARGEST: f64 = 1e10;

/// Refuses every norm but the `allowed` one.
pub(crate) fn only(check: &Check, norm: Norm, allowed: Norm) -> Result<()> {
    match norm == allowed {
        true => Ok(()),
        false => Err(Error::Norm { attack: check.0, norm, allowed }),
    }
}

/// Refuses settings of the attack of this name.
pub(crate) struct Check(pub(crate) &'static str);

impl Check {
    /// Steps, queries, candidates.
    pub(crate) fn steps(&self, field: &'static str, value: usize) -> Result<usize> {
        self.count(field, value, 1, MOST_STEPS)
    }

    /// Restarts, searches.
    pub(crate) fn runs(&self, field: &'static str, value: usize) -> Result<usize> {
        self.count(field, value, 1, MOST_RUNS)
    }

    pub(crate) fn levels(&self, field: &'static str, value: u32) -> Result<u32> {
        self.count(field, value as usize, 2, MOST_LEVELS).map(|_| value)
    }

    pub(crate) fn positive(&self, field: &'static str, value: f64) -> Result<f64> {
        let legal = value > 0.0 && value <= LARGEST;
        self.check(field, value, legal, format!("a number > 0, at most {LARGEST:e}"))
    }

    pub(crate) fn not_negative(&self, field: &'static str, value: f64) -> Result<f64> {
        let legal = (0.0..=LARGEST).contains(&value);
        self.check(field, value, legal, format!("a number >= 0, at most {LARGEST:e}"))
    }

    pub(crate) fn above_one(&self, field: &'static str, value: f64) -> Result<f64> {
        let legal = value > 1.0 && value <= LARGEST;
        self.check(field, value, legal, format!("a number > 1, at most {LARGEST:e}"))
    }

    pub(crate) fn share(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, (0.0..=1.0).contains(&value), "a number in [0, 1]")
    }

    pub(crate) fn positive_share(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 0.0 && value <= 1.0, "a number in (0, 1]")
    }

    pub(crate) fn rate(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 0.0 && value < 1.0, "a number between 0 and 1")
    }

    fn count(&self, field: &'static str, value: usize, least: usize, most: usize) -> Result<usize> {
        self.check(field, value, (least..=most).contains(&value), format!("{least} to {most}"))
    }

    fn check<T: std::fmt::Display>(
        &self,
        field: &'static str,
        value: T,
        legal: bool,
        allowed: impl Into<String>,
    ) -> Result<T> {
        if legal {
            return Ok(value);
        }
        Err(Error::Setting { attack: self.0, field, value: value.to_string(), allowed: allowed.into() })
    }
}
