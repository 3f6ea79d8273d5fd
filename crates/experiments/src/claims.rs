//! What the paper claims in its text, and what our numbers say to it.

mod noise;
mod select;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Error, Item, Result};
use select::{Found, Select};

/// The claims, and how each is tested.
const CLAIMS: &str = include_str!("../specs/claims.toml");

/// One claim, tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimVerdict {
    /// Short name for links.
    pub id: String,
    /// The claim, in a sentence.
    pub text: String,
    /// What came out.
    pub verdict: Verdict,
    /// The numbers that decided it, in words, one comparison each: `0.471 against 0.402 (n = 1000, 3 seeds)`.
    pub numbers: Vec<String>,
    /// Keys of the records that they were computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

/// What our numbers say to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The numbers agree, beyond the noise.
    Held,
    /// The numbers disagree, beyond the noise.
    NotHeld,
    /// Too few seeds or images to tell.
    Undecided,
    /// There are no numbers of what the claim is about, or of networks near chance only.
    NotTestable,
}

impl Verdict {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::NotHeld => "not held",
            Verdict::Undecided => "undecided",
            Verdict::NotTestable => "not testable",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    claims: Vec<Claim>,
}

/// A claim as it is written. It holds if every comparison does, and is not decided while one cannot be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    id: String,
    text: String,
    /// Root seeds (or class orders) below which nothing is decided. 1 where attacks on the same networks are compared.
    seeds: usize,
    compare: Vec<Comparison>,
}

/// Two numbers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Comparison {
    left: Select,
    right: Right,
    test: Test,
}

/// What a number is compared with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Right {
    /// A number that was not measured.
    Bound(f64),
    /// Another one.
    Measured(Select),
}

/// What is said of `left - right`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Test {
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
    /// At most this far from 0.
    Within(f64),
}

impl Test {
    /// Whether it holds for `difference`, beyond `noise`; `None` within it.
    fn holds(self, difference: f64, noise: f64) -> Option<bool> {
        let (surely, surely_not) = match self {
            Self::Above(margin) => (difference - noise > margin, difference + noise <= margin),
            Self::Below(margin) => (difference + noise < margin, difference - noise >= margin),
            Self::Within(margin) => (difference.abs() + noise <= margin, difference.abs() - noise > margin),
        };
        if surely { Some(true) } else { surely_not.then_some(false) }
    }

    fn words(self) -> String {
        match self {
            Self::Above(0.0) => "above".to_owned(),
            Self::Below(0.0) => "below".to_owned(),
            Self::Above(margin) if margin < 0.0 => format!("at most {} below", -margin),
            Self::Above(margin) => format!("above by more than {margin}"),
            Self::Below(margin) if margin > 0.0 => format!("at most {margin} above"),
            Self::Below(margin) => format!("below by more than {}", -margin),
            Self::Within(margin) => format!("within {margin}"),
        }
    }
}

/// Every claim with what `items` say to it.
///
/// # Errors
/// [`Error::Spec`] if the claims cannot be read.
pub fn judge(items: &[Item]) -> Result<Vec<ClaimVerdict>> {
    judge_with(CLAIMS, items)
}

pub(crate) fn judge_with(text: &str, items: &[Item]) -> Result<Vec<ClaimVerdict>> {
    let written: Written = toml::from_str(text)
        .map_err(|source| Error::Spec { item: "claims".to_owned(), source: Box::new(source) })?;
    Ok(written.claims.iter().map(|claim| claim.judge(items)).collect())
}

impl Claim {
    fn judge(&self, items: &[Item]) -> ClaimVerdict {
        let mut verdicts = Vec::new();
        let mut numbers = Vec::new();
        let mut records = BTreeSet::new();
        for comparison in &self.compare {
            let pairs = comparison.pairs(items);
            if pairs.is_empty() {
                verdicts.push(Verdict::NotTestable);
                numbers.push("no such number".to_owned());
            }
            for (left, right) in pairs {
                records.extend(left.records.iter().chain(&right.records).cloned());
                let noise = left.error.hypot(right.error);
                let difference = left.value - right.value;
                let seeds = left.seeds.min(right.seeds);
                let (verdict, why) = if !(left.learned && right.learned) {
                    (Verdict::NotTestable, ", clean accuracy too near chance".to_owned())
                } else {
                    match comparison.test.holds(difference, noise) {
                        _ if seeds < self.seeds => {
                            (Verdict::Undecided, format!(", {seeds} of {} seeds", self.seeds))
                        }
                        None => (Verdict::Undecided, ", within noise".to_owned()),
                        Some(true) => (Verdict::Held, String::new()),
                        Some(false) => (Verdict::NotHeld, ", it is not".to_owned()),
                    }
                };
                verdicts.push(verdict);
                numbers.push(format!(
                    "{}: {:.3} against {:.3} (asked: {}; noise {noise:.3}{why})",
                    left.place,
                    left.value,
                    right.value,
                    comparison.test.words(),
                ));
            }
        }
        numbers.dedup();
        ClaimVerdict {
            id: self.id.clone(),
            text: self.text.clone(),
            verdict: join(&verdicts),
            numbers,
            records: records.into_iter().collect(),
        }
    }
}

/// The verdict on several comparisons, all of which must hold: one that cannot be made leaves the others undecided.
fn join(verdicts: &[Verdict]) -> Verdict {
    let has = |verdict| verdicts.contains(&verdict);
    match (has(Verdict::NotHeld), has(Verdict::Held), has(Verdict::NotTestable), has(Verdict::Undecided)) {
        (true, ..) => Verdict::NotHeld,
        (_, true, false, false) => Verdict::Held,
        (_, false, _, false) => Verdict::NotTestable,
        _ => Verdict::Undecided,
    }
}

impl Comparison {
    /// What is compared with what: numbers of the same place; where other rows are asked for, the only one on each side.
    fn pairs(&self, items: &[Item]) -> Vec<(Found, Found)> {
        let left = self.left.find(items);
        let select = match &self.right {
            Right::Measured(select) => select,
            Right::Bound(bound) => {
                let constant = |left: &Found| Found {
                    place: left.place.clone(),
                    value: *bound,
                    error: 0.0,
                    seeds: left.seeds,
                    records: Vec::new(),
                    learned: true,
                };
                return left.iter().map(|left| (left.clone(), constant(left))).collect();
            }
        };
        let right = select.find(items);
        if self.left.is_of_other_rows(select) {
            return match (left.as_slice(), right.as_slice()) {
                ([left], [right]) => vec![(left.clone(), right.clone())],
                _ => Vec::new(),
            };
        }
        let partner = |left: &Found| right.iter().find(|right| right.place == left.place).cloned();
        left.iter().filter_map(|left| Some((left.clone(), partner(left)?))).collect()
    }
}
