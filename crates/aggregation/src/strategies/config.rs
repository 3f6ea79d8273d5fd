//! A strategy with its settings, as specs and the command line write it.

use std::fmt;
use std::str::FromStr;

use robin_attacks::Loss;
use robin_core::Strategy;
use serde::{Deserialize, Serialize};

use super::normalised::Combine;
use super::rank::Rank;
use super::{
    StrategyName, average_gradient, best_arm, highest_arm, margin_t, reweighted, softmax, softmax_top2, top2,
};
use crate::Error;

/// A strategy and how it is carried out. Written `top2`, `top2+current`, `average-gradient+normalised`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StrategyConfig {
    /// Which scores.
    pub name: StrategyName,
    /// For `highest-arm`, `top2` and `softmax-top2`.
    pub rank: Rank,
    /// For `top2` and `average-gradient`.
    pub combine: Combine,
}

impl From<StrategyName> for StrategyConfig {
    fn from(name: StrategyName) -> Self {
        Self { name, rank: Rank::Clean, combine: Combine::Raw }
    }
}

/// Weights that `reweighted` tries.
const WEIGHTS: &[f64] = &[0.2, 0.5, 0.8];

impl StrategyConfig {
    /// The strategy that maximises `loss`: with `margin`, an arm's binary cross-entropy becomes its signed
    /// score.
    ///
    /// # Errors
    /// [`Error::Pair`] for settings or a loss that the strategy has no use for; says which it has.
    pub fn build(self, loss: Loss) -> Result<Box<dyn Strategy>, Error> {
        let Self { name, rank, combine } = self;
        let entry = name.entry();
        let refuse = |given: &str, allowed: String| {
            Err(Error::Pair { strategy: name.as_str(), given: given.to_owned(), allowed })
        };
        if entry.losses.is_some_and(|losses| !losses.contains(&loss)) {
            let allowed = entry.losses.unwrap_or_default().iter().map(ToString::to_string);
            return refuse(
                &format!("loss {loss}"),
                format!("loss {}", allowed.collect::<Vec<_>>().join(", ")),
            );
        }
        let takers = |takes: fn(&super::Entry) -> bool| {
            let names =
                super::STRATEGIES.iter().filter(|entry| takes(entry)).map(|entry| entry.name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        if rank == Rank::Current && !entry.ranks {
            return refuse(
                "rank current",
                format!("rank clean; current with {}", takers(|entry| entry.ranks)),
            );
        }
        if combine == Combine::Normalised && !entry.combines {
            let takers = takers(|entry| entry.combines);
            return refuse("combine normalised", format!("combine raw; normalised with {takers}"));
        }
        if (rank, combine) == (Rank::Current, Combine::Normalised) {
            return refuse("rank current with combine normalised", "one of the two".to_owned());
        }
        Ok(match name {
            StrategyName::Softmax => Box::new(softmax::Softmax { loss }),
            StrategyName::BestArm => Box::new(best_arm::BestArm { loss }),
            StrategyName::Top2 => Box::new(top2::Top2 { loss, rank, combine }),
            StrategyName::HighestArm => Box::new(highest_arm::HighestArm { loss, rank }),
            StrategyName::AverageGradient => Box::new(average_gradient::AverageGradient { loss, combine }),
            StrategyName::SoftmaxTop2 => Box::new(softmax_top2::SoftmaxTop2 { loss, rank }),
            StrategyName::MarginT => Box::new(margin_t::MarginT { loss }),
            StrategyName::Reweighted => Box::new(reweighted::Reweighted { loss, weights: WEIGHTS }),
        })
    }

    /// Refuses base attacks that cannot carry this strategy: those that step onto the border between classes, and DDN,
    /// need all scores or a pair of them; Carlini and Wagner's also take the border of an arm, or of two, as the paper has
    /// it, if it stays the same one; and only attacks that follow a direction can follow a normalised one (APGD
    /// too: its step size is decided by the objective, which normalising leaves as it is).
    /// `attack` is the name in [`robin_attacks::ATTACKS`].
    ///
    /// # Errors
    /// [`Error::Pair`] lists the allowed.
    pub fn check_attack(self, attack: &str) -> Result<(), Error> {
        const DIRECTION: &[&str] = &["fgsm", "pgd", "apgd"];
        const WHOLE: &[&str] = &["ddn", "fmn", "fab-t"];
        let pair = |allowed: String| {
            Err(Error::Pair { strategy: self.name.as_str(), given: format!("attack {attack}"), allowed })
        };
        if self.combine == Combine::Normalised && !DIRECTION.contains(&attack) {
            return pair(format!("combine normalised with attack {}", DIRECTION.join(", ")));
        }
        let without = matches!(self.name, StrategyName::AverageGradient | StrategyName::Reweighted);
        if attack.starts_with("cw") && (without || self.rank == Rank::Current) {
            return pair(format!(
                "attack {attack} with strategy softmax, margin-t, best-arm, highest-arm, top2, softmax-top2, ranked once"
            ));
        }
        if WHOLE.contains(&attack) && !matches!(self.name, StrategyName::Softmax | StrategyName::MarginT) {
            return pair(format!("attack {attack} with strategy softmax, margin-t"));
        }
        Ok(())
    }
}

impl fmt::Display for StrategyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rank = if self.rank == Rank::Current { "+current" } else { "" };
        let combine = if self.combine == Combine::Normalised { "+normalised" } else { "" };
        f.pad(&format!("{}{rank}{combine}", self.name))
    }
}

impl FromStr for StrategyConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.split('+');
        let mut config = Self::from(parts.next().unwrap_or_default().parse::<StrategyName>()?);
        for part in parts {
            match part {
                "current" => config.rank = Rank::Current,
                "normalised" => config.combine = Combine::Normalised,
                _ => return Err(Error::StrategySetting { text: text.to_owned(), setting: part.to_owned() }),
            }
        }
        Ok(config)
    }
}

impl TryFrom<String> for StrategyConfig {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<StrategyConfig> for String {
    fn from(config: StrategyConfig) -> Self {
        config.to_string()
    }
}
