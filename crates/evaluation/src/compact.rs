//! Per-example results as short, byte-stable text: a record of ten thousand examples stays readable around
//! them, and reads back to the same bits.

use std::fmt::Write;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

/// `n:hex`, four flags per hex digit, the first flag in the highest bit; the last digit is filled with zeros.
pub(crate) mod bits {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(flags: &[bool], to: S) -> Result<S::Ok, S::Error> {
        let mut text = format!("{}:", flags.len());
        for four in flags.chunks(4) {
            let digit =
                four.iter().enumerate().fold(0, |digit, (at, &flag)| digit | u32::from(flag) << (3 - at));
            write!(text, "{digit:x}").expect("a string can be written to");
        }
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<bool>, D::Error> {
        let text = String::deserialize(from)?;
        let parse = || {
            let (n, digits) = text.split_once(':')?;
            let n: usize = n.parse().ok()?;
            let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
            let flag = |at: usize| digits[at / 4] >> (3 - at % 4) & 1 == 1;
            let whole = digits.len() == n.div_ceil(4) && !(n..digits.len() * 4).any(flag);
            whole.then(|| (0..n).map(flag).collect())
        };
        parse().ok_or_else(|| D::Error::custom("flags are not of the form `count:hex`"))
    }
}

/// `digits:hex`: every class in the same number of hex digits, as many as the highest needs.
pub(crate) mod classes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(classes: &[u32], to: S) -> Result<S::Ok, S::Error> {
        let highest = classes.iter().max().copied().unwrap_or(0);
        let digits = (32 - highest.leading_zeros()).div_ceil(4).max(1) as usize;
        let mut text = format!("{digits}:");
        for class in classes {
            write!(text, "{class:0digits$x}").expect("a string can be written to");
        }
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
        let text = String::deserialize(from)?;
        let parse = || {
            let (digits, hex) = text.split_once(':')?;
            numbers(hex, digits.parse().ok().filter(|digits| (1..=8).contains(digits))?)
        };
        parse().ok_or_else(|| D::Error::custom("classes are not of the form `digits:hex`"))
    }
}

/// Eight hex digits each: the bits of the f32.
pub(crate) mod sizes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(sizes: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(sizes.len() * 8);
        for size in sizes {
            write!(text, "{:08x}", size.to_bits()).expect("a string can be written to");
        }
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let bits = numbers(&String::deserialize(from)?, 8)
            .ok_or_else(|| D::Error::custom("sizes are not eight hex digits each"))?;
        Ok(bits.into_iter().map(f32::from_bits).collect())
    }
}

/// `digits:hex` as [`classes`], for counts.
pub(crate) use classes as counts;

/// `hex` as numbers of `digits` digits each.
fn numbers(hex: &str, digits: usize) -> Option<Vec<u32>> {
    let number = |part: &[u8]| {
        part.iter().try_fold(0, |number: u32, &digit| Some(number << 4 | char::from(digit).to_digit(16)?))
    };
    let parts = hex.as_bytes().chunks_exact(digits);
    if parts.remainder().is_empty() { parts.map(number).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        #[serde(with = "bits")]
        flags: Vec<bool>,
        #[serde(with = "classes")]
        classes: Vec<u32>,
        #[serde(with = "sizes")]
        sizes: Vec<f32>,
    }

    #[test]
    fn everything_reads_back_to_the_same_bits() {
        let mut stream = robin_core::Seed::new(5).root_stream();
        for n in [0, 1, 3, 4, 5, 8, 100] {
            for classes in [1, 10, 16, 17, 1000, u32::MAX] {
                let all = All {
                    flags: (0..n).map(|_| stream.bits() & 1 == 1).collect(),
                    classes: (0..n).map(|_| stream.below(classes)).collect(),
                    sizes: (0..n).map(|_| stream.uniform()).collect(),
                };
                let text = serde_json::to_string(&all).unwrap();
                assert_eq!(serde_json::from_str::<All>(&text).unwrap(), all, "{text}");
            }
        }
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let all = All { flags: vec![true, false, false, true, true], classes: vec![3, 17], sizes: vec![0.5] };
        let text = r#"{"flags":"5:98","classes":"2:0311","sizes":"3f000000"}"#;
        assert_eq!(serde_json::to_string(&all).unwrap(), text);
    }

    #[test]
    fn damaged_text_is_refused() {
        let good = r#"{"flags":"5:98","classes":"2:0311","sizes":"3f000000"}"#;
        for (part, damaged) in [
            ("5:98", "6:9"),
            ("5:98", "5:988"),
            ("5:98", "5:9c"),
            ("5:98", "5:9g"),
            ("5:98", "98"),
            ("2:0311", "2:031"),
            ("2:0311", "9:031"),
            ("2:0311", "0:"),
            ("3f000000", "3f00000"),
            ("3f000000", "3f00000é"),
        ] {
            let text = good.replacen(part, damaged, 1);
            assert!(serde_json::from_str::<All>(&text).is_err(), "{text}");
        }
    }
}
