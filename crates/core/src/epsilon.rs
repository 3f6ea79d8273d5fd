//! Perturbation radii, written as the field writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A perturbation radius in pixel units (images in `[0, 1]`): finite, and 0 or a positive number that f32 can tell from 0.
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
    /// [`Error::Epsilon`] for a value that is no radius.
    pub fn new(value: f64) -> Result<Self> {
        Self::legal(Form::Decimal(value))
            .map_err(|reason| Error::Epsilon { text: value.to_string(), reason: reason.to_owned() })
    }

    /// The radius as a number.
    pub fn get(self) -> f64 {
        match self.0 {
            Form::Decimal(value) => value,
            Form::Ratio { numerator, denominator } => numerator / denominator,
        }
    }

    fn legal(form: Form) -> Result<Self, &'static str> {
        let (numerator, denominator) = match form {
            Form::Decimal(value) => (value, 1.0),
            Form::Ratio { numerator, denominator } => (numerator, denominator),
        };
        let value = numerator / denominator;
        if !value.is_finite() || !denominator.is_finite() {
            Err("it is not finite")
        } else if numerator.is_sign_negative() || denominator.is_sign_negative() {
            Err(if numerator == 0.0 { "no perturbation is `0`, without a sign" } else { "it is negative" })
        } else if numerator > 0.0 && value < f64::from(f32::MIN_POSITIVE) {
            Err("it is so small that f32 takes it for 0; no perturbation is `0`")
        } else {
            Ok(Self(form))
        }
    }
}

/// The number that `text` says; 0 only where it says 0.
fn number(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let value: f64 = text.parse().map_err(|_| match text.contains(',') {
        true => format!("decimals have a point: `{}`", text.replace(',', ".")),
        false => format!("{text:?} is no number"),
    })?;
    let digits = text.split(['e', 'E']).next().unwrap_or_default();
    if value == 0.0 && digits.contains(|digit| ('1'..='9').contains(&digit)) {
        return Err("it is so small that it would be taken for 0; no perturbation is `0`".to_owned());
    }
    Ok(value)
}

impl FromStr for Epsilon {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let form = match text.split_once('/') {
            Some((over, under)) => {
                number(over).and_then(|numerator| Ok(Form::Ratio { numerator, denominator: number(under)? }))
            }
            None => number(text).map(Form::Decimal),
        };
        form.and_then(|form| Self::legal(form).map_err(str::to_owned))
            .map_err(|reason| Error::Epsilon { text: text.to_owned(), reason })
    }
}

/// Radii as a command line has them, separated by commas: `0.25,0.5,1` or `2/255,8/255`.
#[derive(Debug, Clone, PartialEq)]
pub struct Epsilons(pub Vec<Epsilon>);

impl FromStr for Epsilons {
    type Err = Error;

    /// A comma between two whole numbers, `0,5`, may be meant for a point: where nothing else in the list says how its
    /// decimals are written, it is refused. So is a radius that stands there twice.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |reason: String| Err(Error::Epsilon { text: text.to_owned(), reason });
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let radii = parts.iter().map(|part| part.parse()).collect::<Result<Vec<Epsilon>>>()?;
        let whole = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let doubtful = |pair: &[&str]| {
            whole(pair[0]) && whole(pair[1]) && (parts.len() == 2 || pair[0].bytes().all(|byte| byte == b'0'))
        };
        if let Some(pair) = parts.windows(2).find(|pair| doubtful(pair)) {
            let [first, second] = [pair[0], pair[1]];
            return refuse(format!(
                "`{first},{second}` is one radius with a comma for a point, or two: write `{first}.{second}`, or \
                 `{first}.0,{second}.0`"
            ));
        }
        match (0..radii.len()).find(|&at| radii[..at].iter().any(|other| other.get() == radii[at].get())) {
            Some(at) => refuse(format!("`{}` stands there twice", parts[at])),
            None => Ok(Self(radii)),
        }
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

    fn refusal<T: FromStr<Err = Error>>(text: &str) -> String {
        match text.parse::<T>() {
            Ok(_) => panic!("{text} is accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_no_radius_is_refused_with_the_text() {
        for text in [
            "eight", "-1", "1/0", "0/0", "nan", "inf", "", "8/", "-8/255", "8/-255", "8/inf", "inf/255",
            "1e999", "8/nan", "-8/-255", "8/255/2",
        ] {
            let message = refusal::<Epsilon>(text);
            assert!(message.contains(&format!("{text:?}")) && message.contains("8/255"), "{message}");
        }
        assert!(refusal::<Epsilon>("0,5").contains("`0.5`"));
    }

    #[test]
    fn only_0_is_0_and_it_has_no_sign() {
        for text in ["0", "0.0", "0/255", "0e5"] {
            assert_eq!(text.parse::<Epsilon>().unwrap().get(), 0.0, "{text}");
        }
        for text in [
            "-0",
            "-0.0",
            "-0/255",
            "0/-1",
            "1e-400",
            "1e-400/255",
            "0.0000001e-400",
            "1e-50",
            "1e-300/1e300",
        ] {
            let message = refusal::<Epsilon>(text);
            assert!(message.contains("`0`") || message.contains("negative"), "{message}");
        }
        assert!(Epsilon::new(-0.0).is_err() && Epsilon::new(1e-320).is_err());
        assert_eq!(Epsilon::new(1e-30).unwrap().get(), 1e-30);
    }

    #[test]
    fn lists_are_read_unless_a_comma_may_be_a_point() {
        let list = |text: &str| -> Vec<f64> {
            text.parse::<Epsilons>().unwrap().0.into_iter().map(Epsilon::get).collect()
        };
        assert_eq!(list("8/255"), [8.0 / 255.0]);
        assert_eq!(list("0.25,0.5,1"), [0.25, 0.5, 1.0]);
        assert_eq!(list("1, 2, 3"), [1.0, 2.0, 3.0]);
        assert_eq!(list("0,8/255"), [0.0, 8.0 / 255.0]);
        assert_eq!(list("0.0,5.0"), [0.0, 5.0]);
        for (text, meant) in
            [("0,5", "`0.5`"), ("1,5", "`1.5`"), ("0,25,0,5", "`0.25`"), ("0.5,0,5", "`0.5`")]
        {
            assert!(refusal::<Epsilons>(text).contains(meant), "{text}");
        }
        assert!(refusal::<Epsilons>("0.5,1,0.5").contains("twice"));
        assert!(
            refusal::<Epsilons>("0.5,").contains("no number")
                && refusal::<Epsilons>("0.5,-0").contains("sign")
        );
    }
}
