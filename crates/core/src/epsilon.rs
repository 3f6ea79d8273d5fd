//! Perturbation radii, written as the field writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A perturbation radius in pixel units (images in `[0, 1]`): finite and >= 0.
///
/// Keeps the way it was written: `8/255` stays `8/255`, which is 0.03137 and not the 0.031 of some
/// published code.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epsilon(Form);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Decimal(f64),
    Ratio { numerator: f64, denominator: f64 },
}

impl Epsilon {
    /// No perturbation.
    pub const ZERO: Self = Self(Form::Decimal(0.0));

    /// The radius `value`.
    ///
    /// # Errors
    /// [`Error::Epsilon`] unless `value` is finite and >= 0.
    pub fn new(value: f64) -> Result<Self> {
        Self::legal(Form::Decimal(value)).ok_or_else(|| Error::Epsilon { text: value.to_string() })
    }

    /// The radius as a number.
    pub fn get(self) -> f64 {
        match self.0 {
            Form::Decimal(value) => value,
            Form::Ratio { numerator, denominator } => numerator / denominator,
        }
    }

    fn legal(form: Form) -> Option<Self> {
        let epsilon = Epsilon(form);
        (epsilon.get().is_finite() && epsilon.get() >= 0.0).then_some(epsilon)
    }
}

impl FromStr for Epsilon {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| part.trim().parse::<f64>().ok();
        let form = match text.split_once('/') {
            Some((over, under)) => number(over)
                .zip(number(under))
                .map(|(numerator, denominator)| Form::Ratio { numerator, denominator }),
            None => number(text).map(Form::Decimal),
        };
        form.and_then(Self::legal).ok_or_else(|| Error::Epsilon { text: text.to_owned() })
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // `{:?}` keeps the point of a whole number: the paper writes 2.0, not 2.
            Form::Decimal(value) => f.pad(&format!("{value:?}")),
            Form::Ratio { numerator, denominator } => f.pad(&format!("{numerator}/{denominator}")),
        }
    }
}

impl TryFrom<String> for Epsilon {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Epsilon> for String {
    fn from(epsilon: Epsilon) -> String {
        epsilon.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_keeps_its_form_and_value() {
        let epsilon: Epsilon = "8/255".parse().unwrap();
        assert_eq!(epsilon.get(), 8.0 / 255.0);
        assert_eq!(epsilon.to_string(), "8/255");
        assert_eq!("2.0".parse::<Epsilon>().unwrap().to_string(), "2.0");
        assert_eq!("0.5".parse::<Epsilon>().unwrap().to_string(), "0.5");
    }

    #[test]
    fn what_is_no_radius_is_refused_with_the_text() {
        for text in ["eight", "-1", "1/0", "0/0", "nan", "inf", "", "8/", "-8/255"] {
            let message = text.parse::<Epsilon>().unwrap_err().to_string();
            assert!(message.contains(&format!("{text:?}")) && message.contains("8/255"), "{message}");
        }
    }
}
