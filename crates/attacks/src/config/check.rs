//! Settings, checked one by one.

use crate::{Error, Result};

/// Refuses settings of the attack of this name.
pub(super) struct Check(pub(super) &'static str);

impl Check {
    pub(super) fn at_least(&self, field: &'static str, value: usize, least: usize) -> Result<usize> {
        let allowed = if least == 1 { ">= 1" } else { ">= 2" };
        self.check(field, value, value >= least, allowed)
    }

    pub(super) fn positive(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 0.0 && value.is_finite(), "a finite number > 0")
    }

    pub(super) fn not_negative(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value >= 0.0 && value.is_finite(), "a finite number >= 0")
    }

    pub(super) fn above_one(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 1.0 && value.is_finite(), "a finite number > 1")
    }

    pub(super) fn share(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, (0.0..=1.0).contains(&value), "a number in [0, 1]")
    }

    pub(super) fn positive_share(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 0.0 && value <= 1.0, "a number in (0, 1]")
    }

    pub(super) fn rate(&self, field: &'static str, value: f64) -> Result<f64> {
        self.check(field, value, value > 0.0 && value < 1.0, "a number between 0 and 1")
    }

    fn check<T: std::fmt::Display>(
        &self,
        field: &'static str,
        value: T,
        legal: bool,
        allowed: &'static str,
    ) -> Result<T> {
        if legal {
            return Ok(value);
        }
        Err(Error::Setting { attack: self.0, field, value: value.to_string(), allowed })
    }
}
