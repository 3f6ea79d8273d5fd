//! What the paper claims in its text, and what our numbers say to it.

use serde::{Deserialize, Serialize};

/// One claim, tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimVerdict {
    /// Short name for links.
    pub id: String,
    /// The claim, in a sentence.
    pub text: String,
    /// What came out.
    pub verdict: Verdict,
    /// The numbers that decided it, in words: `0.471 against 0.402 (n = 1000, 3 seeds)`.
    pub numbers: String,
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
    /// The profile does not compute what the claim is about.
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
