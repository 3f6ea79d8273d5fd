//! Claims as they are written: `specs/claims.toml`.

use serde::{Deserialize, Serialize};

use crate::alignment::Compared;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) claims: Vec<Claim>,
}

/// A claim. It holds if every comparison does, under every reading, and is not decided while one cannot be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) text: String,
    /// Root seeds (or class orders) below which nothing is decided. 1 where attacks on the same networks are compared, or where
    /// one network of each is what there is, which the verdict then says.
    pub(super) seeds: usize,
    pub(super) compare: Vec<Asked>,
}

/// Two numbers, and what is said of their difference.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Of a claim that can be read in several ways, the one that this comparison belongs to.
    pub(super) reading: Option<String>,
    pub(super) left: Select,
    pub(super) right: Right,
    pub(super) test: Test,
}

/// What a number is compared with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Right {
    /// A number that was not measured.
    Bound(f64),
    /// Another one.
    Measured(Select),
}

/// Which numbers of which item. One selector may find several, one for each row, budget or way of counting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Select {
    /// An accuracy of a table.
    Accuracy {
        item: String,
        classifier: String,
        attack: String,
        /// This strategy's alone, or that of the `strongest` one, which is what the paper prints. What withstands all of them
        /// if absent, so that no choice of one favours a classifier.
        strategy: Option<String>,
        /// Only rows whose label contains this.
        rows: Option<String>,
        #[serde(default)]
        at: Budgets,
    },
    /// The first classifier's accuracy less the second one's.
    Lead {
        item: String,
        lead: [String; 2],
        attack: String,
        strategy: Option<String>,
        rows: Option<String>,
        #[serde(default)]
        at: Budgets,
    },
    /// Accuracy in section 3's question of a network of so many classes, mean over class orders: over all images, and over both
    /// groups alike.
    OneClass {
        item: String,
        classes: usize,
        /// In multiples of the training budget; 0 is clean.
        budget: f64,
        /// Of the networks that were trained without attacks.
        #[serde(default)]
        standard: bool,
    },
    /// The accuracy with the first number of classes less that with the second one.
    OneClassLead { item: String, classes: [usize; 2], budget: f64 },
    /// Mean distance to the border of a network of so many classes.
    Distance { item: String, distance_of: usize },
    /// Mean coherence.
    Coherence { item: String, coherence: Compared, rows: Option<String> },
    /// Of what the first strategy breaks, and was right when clean, the share that the second one breaks too.
    Overlap { item: String, inside: [String; 2], attack: String },
}

impl Select {
    pub(super) fn item(&self) -> &str {
        match self {
            Self::Accuracy { item, .. }
            | Self::Lead { item, .. }
            | Self::OneClass { item, .. }
            | Self::OneClassLead { item, .. }
            | Self::Distance { item, .. }
            | Self::Coherence { item, .. }
            | Self::Overlap { item, .. } => item,
        }
    }

    /// The rows that it is restricted to.
    pub(super) fn rows(&self) -> Option<&str> {
        match self {
            Self::Accuracy { rows, .. } | Self::Lead { rows, .. } | Self::Coherence { rows, .. } => {
                rows.as_deref()
            }
            _ => None,
        }
    }
}

/// Which test budgets of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Budgets {
    /// All of them, each compared with itself.
    #[default]
    Each,
    /// The training budget.
    Training,
    /// The next one beyond it.
    Next,
    /// The largest one beyond it.
    Largest,
}

/// What is said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Test {
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
    /// At most this far from 0.
    Within(f64),
    /// Every image that is misclassified on the left is misclassified on the right too, without exception.
    Inside,
}

impl Test {
    /// Whether an interval lies inside of what is asked (`Some(true)`) or outside of it; `None` if it reaches over the margin.
    pub(super) fn holds(self, low: f64, high: f64) -> Option<bool> {
        let (inside, outside) = match self {
            Self::Above(margin) => (low > margin, high < margin),
            Self::Below(margin) => (high < margin, low > margin),
            Self::Within(margin) => (low >= -margin && high <= margin, low > margin || high < -margin),
            Self::Inside => (false, false),
        };
        if inside { Some(true) } else { outside.then_some(false) }
    }

    /// How far `effect` is from the nearest margin.
    pub(super) fn distance(self, effect: f64) -> f64 {
        match self {
            Self::Above(margin) | Self::Below(margin) => (effect - margin).abs(),
            Self::Within(margin) => (effect.abs() - margin).abs(),
            Self::Inside => 0.0,
        }
    }

    /// Whether only the sign is asked for.
    pub(super) fn is_of_sign(self) -> bool {
        matches!(self, Self::Above(0.0) | Self::Below(0.0))
    }

    pub(super) fn words(self) -> String {
        match self {
            Self::Above(0.0) => "above".to_owned(),
            Self::Below(0.0) => "below".to_owned(),
            Self::Above(margin) if margin < 0.0 => format!("at most {} below", -margin),
            Self::Above(margin) => format!("above by more than {margin}"),
            Self::Below(margin) if margin > 0.0 => format!("at most {margin} above"),
            Self::Below(margin) => format!("below by more than {}", -margin),
            Self::Within(margin) => format!("within {margin}"),
            Self::Inside => "inside, without exception".to_owned(),
        }
    }

    /// What a refuted one found, in words.
    pub(super) fn refuted(self, effect: f64) -> &'static str {
        match self {
            Self::Above(margin) | Self::Below(margin) if margin == 0.0 => "the other way round",
            Self::Above(margin) if margin > 0.0 && effect > 0.0 => "above, but by less",
            Self::Below(margin) if margin < 0.0 && effect < 0.0 => "below, but by less",
            Self::Above(margin) if margin > 0.0 => "not above",
            Self::Below(margin) if margin < 0.0 => "not below",
            Self::Above(_) => "further below",
            Self::Below(_) => "further above",
            Self::Within(_) if effect > 0.0 => "further above",
            Self::Within(_) => "further below",
            Self::Inside => "not inside",
        }
    }
}
