//! An attack on a classifier as data: how images are moved, what is maximised, and of which scores. Specs, command lines and
//! the battery build attacks by it, so that all of them refuse the same.

use std::fmt;
use std::str::FromStr;

use robin_attacks::{ATTACKS, Config, Loss};
use robin_core::{Attack, Budget, Strategy};
use serde::{Deserialize, Serialize};

use crate::{Aggregation, Error, Networks, Result, Stages, StrategyConfig, StrategyName};

/// Which scores are attacked: those that a strategy chooses, or those of a hierarchical classifier's stages. Written
/// `softmax`, `top2+current`, `stage-1-2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StrategyChoice {
    /// Of the list of strategies.
    Scores(StrategyConfig),
    /// Of a hierarchical classifier's own.
    Stages(Stages),
}

/// An attack that is not built yet: it may not suit a classifier.
///
/// ```
/// use robin_aggregation::{AttackDescription, StrategyName};
/// use robin_attacks::{Config, Loss};
/// use robin_core::{Budget, Norm};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let budget = Budget { norm: Norm::Linf, epsilon: "8/255".parse()? };
/// let attack = Config::Fgsm(robin_attacks::fgsm::Settings {});
/// let fgsm = AttackDescription { attack, loss: Loss::Ce, strategy: StrategyName::Top2.into() };
/// let refused = fgsm.build(budget, None, 10).err().unwrap().to_string();
/// assert!(refused.contains("this classifier has none"), "one network has no arms: {refused}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttackDescription {
    /// How images are moved.
    pub attack: Config,
    /// What is maximised.
    pub loss: Loss,
    /// Of which scores.
    pub strategy: StrategyChoice,
}

impl AttackDescription {
    /// The attack within `budget`, and its strategy against a classifier of `classes` classes that is such an aggregate.
    ///
    /// # Errors
    /// Settings that the attack refuses; those of [`AttackDescription::strategy`].
    pub fn build(
        &self,
        budget: Budget,
        aggregate: Option<Aggregation>,
        classes: usize,
    ) -> Result<(Box<dyn Attack>, Box<dyn Strategy>)> {
        let attack = self.attack.build(budget)?;
        Ok((attack, self.strategy(aggregate, classes)?))
    }

    /// The strategy against a classifier of `classes` classes that is such an aggregate.
    ///
    /// # Errors
    /// [`Error::Unfit`] and [`Error::Pair`] for a strategy that makes no sense with the classifier, the attack or the loss,
    /// [`Error::Loss`] for a loss that makes none; they say what is allowed.
    pub fn strategy(&self, aggregate: Option<Aggregation>, classes: usize) -> Result<Box<dyn Strategy>> {
        let Self { attack, loss, strategy } = *self;
        let refuse = |reason: String| Err(Error::Unfit { strategy: strategy.to_string(), reason });
        let about = aggregate.map(Aggregation::about);
        match (strategy, about.map(|about| about.networks)) {
            (StrategyChoice::Stages(stages), Some(Networks::Stages(split))) => {
                if aims_at_the_border(&attack) {
                    return refuse(format!(
                        "attack {} aims at the border between classes, and a stage has only one of its own; allowed: \
                         softmax, margin-t",
                        attack.name()
                    ));
                }
                let split = split.split();
                check_loss(&attack, loss, stages.compared(&split), Some("a stage does not see them all"))?;
                Ok(stages.build(loss, &split))
            }
            (StrategyChoice::Stages(_), _) => refuse(
                "it attacks the stages of a hierarchical classifier (aggregate hierarchical:SPLIT), and this is none"
                    .to_owned(),
            ),
            (StrategyChoice::Scores(config), _)
                if !about.is_some_and(|about| about.arms)
                    && !matches!(config.name, StrategyName::Softmax | StrategyName::MarginT) =>
            {
                refuse("it attacks arms, and this classifier has none (allowed: softmax, margin-t)".to_owned())
            }
            (StrategyChoice::Scores(config), _) => {
                config.check_attack(attack.name())?;
                let built = config.build(loss)?;
                check_loss(&attack, loss, classes, None)?;
                Ok(built)
            }
        }
    }
}

/// Refuses a loss that `attack` cannot follow, or that `compared` scores are too few for. `chosen` says why it has no
/// targets to choose, if it has none.
///
/// # Errors
/// [`Error::Loss`].
pub fn check_loss(attack: &Config, loss: Loss, compared: usize, chosen: Option<&str>) -> Result<()> {
    let refuse = |reason: String| Err(Error::Loss { loss, reason });
    if aims_at_the_border(attack) && !loss.is_signed() {
        return refuse(format!(
            "attack {} aims at the border between classes, and {loss} is not 0 there; allowed: margin, dlr, \
             margin-t:T, dlr-t:T",
            attack.name()
        ));
    }
    if let Some(chosen) = chosen.filter(|_| loss.chooses_targets()) {
        return refuse(format!(
            "it chooses target classes among all scores, and {chosen}; allowed: ce, margin, dlr"
        ));
    }
    if compared < loss.least_classes() {
        let least = loss.least_classes();
        return refuse(format!("it compares at least {least} scores, and there are {compared}"));
    }
    Ok(())
}

fn aims_at_the_border(attack: &Config) -> bool {
    ATTACKS.iter().any(|entry| entry.name == attack.name() && entry.border)
}

impl From<StrategyConfig> for StrategyChoice {
    fn from(config: StrategyConfig) -> Self {
        Self::Scores(config)
    }
}

impl From<StrategyName> for StrategyChoice {
    fn from(name: StrategyName) -> Self {
        Self::Scores(name.into())
    }
}

impl fmt::Display for StrategyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(config) => f.pad(&config.to_string()),
            Self::Stages(stages) => f.pad(stages.as_str()),
        }
    }
}

impl FromStr for StrategyChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.parse() {
            Ok(stages) => Ok(Self::Stages(stages)),
            Err(_) => text.parse().map(Self::Scores),
        }
    }
}

impl TryFrom<String> for StrategyChoice {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<StrategyChoice> for String {
    fn from(strategy: StrategyChoice) -> Self {
        strategy.to_string()
    }
}
