//! An attack by its names on the command line.

#[cfg(test)]
mod tests;

use robin_aggregation::description::check_loss;
use robin_aggregation::{Aggregation, AttackDescription, StrategyChoice, StrategyName};
use robin_attacks::bundle::{AUTOATTACK, AUTOATTACK_LEAST_CLASSES, Stage, autoattack};
use robin_attacks::{ATTACKS, Config, Entry, Loss};
use robin_core::{Attack, Budget, Strategy};
use robin_evaluation::{AttackSetup, Which};
use serde_json::{Map, Value, json};

use super::target::Towards;
use crate::{Error, Result};

/// The name of the part of AutoAttack that a classifier's classes allow: from 4 on all of it, below without the stages that
/// compare more.
pub const APPLICABLE: &str = "autoattack-applicable";

/// A base attack, its settings, a loss and a strategy.
#[derive(Debug, Clone)]
pub struct AttackSetupRequest {
    /// The base attack's name.
    pub attack: String,
    /// Settings that differ from the list's example, by their names in specs.
    pub settings: Map<String, Value>,
    /// What is maximised; `None`: the attack's own loss, or what the stages of a bundle have.
    pub loss: Option<Loss>,
    /// Of which scores.
    pub strategy: StrategyChoice,
    /// The wanted class; `None`: any wrong one.
    pub target: Option<u32>,
}

/// An attack that is ready to run, with its names for the ledger.
pub(super) struct Prepared {
    pub(super) label: String,
    strategy_name: String,
    pub(super) loss: Loss,
    loss_name: String,
    pub(super) config: Config,
    attack: Box<dyn Attack>,
    strategy: Box<dyn Strategy>,
}

impl Prepared {
    /// The attack's settings, all of them.
    pub(super) fn config(&self) -> Config {
        self.config
    }

    pub(super) fn setup(&self, iterate: Which) -> AttackSetup<'_> {
        AttackSetup {
            name: &self.label,
            strategy_name: &self.strategy_name,
            loss_name: &self.loss_name,
            attack: self.attack.as_ref(),
            config: Some(self.config),
            strategy: self.strategy.as_ref(),
            iterate,
        }
    }
}

impl AttackSetupRequest {
    /// Whatever is known by `attack`, as its authors run it, on all scores.
    pub fn usual(attack: &str) -> Self {
        let strategy = StrategyName::Softmax.into();
        Self { loss: None, ..Self::new(attack, json!({}), Loss::Ce, strategy) }
    }

    /// This attack, or the stages of the bundle that it is, ready for a classifier of `classes` classes that is
    /// such an aggregate.
    ///
    /// # Errors
    /// As [`AttackSetupRequest::config`] and [`AttackSetupRequest::strategy`]; [`Error::Unfit`] for a bundle with settings that
    /// it does not have, or fewer classes than it compares.
    pub(super) fn prepare(
        &self,
        budget: Budget,
        aggregate: Option<Aggregation>,
        classes: usize,
    ) -> Result<Vec<Prepared>> {
        let stages = self.stages(classes)?.into_iter();
        stages.map(|(label, stage)| stage.prepare_as(label, budget, aggregate, classes)).collect()
    }

    fn prepare_as(
        &self,
        label: String,
        budget: Budget,
        aggregate: Option<Aggregation>,
        classes: usize,
    ) -> Result<Prepared> {
        let config = self.config()?;
        let attack = config.build(budget).map_err(Error::work("preparing the attack"))?;
        let strategy = self.strategy(aggregate, classes)?;
        Ok(Prepared {
            label,
            strategy_name: self.strategy.to_string(),
            loss: self.loss(),
            loss_name: self.loss().to_string(),
            config,
            attack,
            strategy,
        })
    }

    /// Whether this is several attacks in stages, each on what the ones before have failed on.
    pub(super) fn is_bundle(&self) -> bool {
        self.attack == AUTOATTACK || self.attack == APPLICABLE
    }

    /// The stages of a bundle, or this attack alone, and what each is called in ledgers.
    fn stages(&self, classes: usize) -> Result<Vec<(String, Self)>> {
        if !self.is_bundle() {
            return Ok(vec![(self.label(), self.clone())]);
        }
        let refuse =
            |reason: String| Err(Error::Unfit { option: "--attack", given: self.attack.clone(), reason });
        if !self.settings.is_empty() || self.loss.is_some() || self.target.is_some() {
            return refuse(
                "its stages have their own settings and losses, and aim at any wrong class".to_owned(),
            );
        }
        if self.strategy != StrategyName::Softmax.into() {
            return refuse("it attacks all scores, so it goes with strategy softmax only".to_owned());
        }
        if self.attack == AUTOATTACK && classes < AUTOATTACK_LEAST_CLASSES {
            return refuse(format!(
                "it compares at least {AUTOATTACK_LEAST_CLASSES} classes, and there are {classes}"
            ));
        }
        let applies = |stage: &Stage| self.attack == AUTOATTACK || stage.loss.least_classes() <= classes;
        autoattack()
            .into_iter()
            .filter(applies)
            .map(|stage| {
                let json = |source| Error::Json { what: "the attack's settings", source };
                let mut settings = serde_json::to_value(stage.attack).map_err(json)?;
                if let Some(fields) = settings.as_object_mut() {
                    fields.remove("name");
                }
                let label = format!("{AUTOATTACK} {} {}", stage.name, stage.loss);
                Ok((label, Self::new(stage.attack.name(), settings, stage.loss, self.strategy)))
            })
            .collect()
    }

    /// The attack's line in the list.
    fn entry(&self) -> Result<&'static Entry> {
        ATTACKS.iter().find(|entry| entry.name == self.attack).ok_or_else(|| Error::Unknown {
            what: "attack",
            given: self.attack.clone(),
            valid: ATTACKS.iter().map(|entry| entry.name).chain([AUTOATTACK]).collect::<Vec<_>>().join(", "),
        })
    }

    /// Whether it looks at all scores, and at any wrong class.
    fn is_whole(&self) -> bool {
        self.target.is_none() && self.strategy == StrategyName::Softmax.into()
    }

    /// What it maximises: what was asked for, or the attack's own loss. Where the target has been chosen, or single
    /// scores are looked at, that is the own loss without targets of its choice.
    fn loss(&self) -> Loss {
        let own = || self.entry().map_or(Loss::Ce, |entry| entry.loss);
        let fitting = || if self.is_whole() { own() } else { own().without_targets() };
        self.loss.unwrap_or_else(fitting)
    }

    /// The base attack with its settings.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the attacks, [`Error::Unfit`] the settings that the attack has.
    pub fn config(&self) -> Result<Config> {
        use robin_attacks::Error as Refused;
        self.entry()?.with(&self.settings).map_err(|error| {
            let (given, reason) = match error {
                Refused::NoSetting { setting, has, .. } => {
                    (self.attack.clone(), format!("it has no setting {setting} (it has: {has})"))
                }
                Refused::Written { source, .. } => {
                    let settings = Value::Object(self.settings.clone());
                    (format!("{} with {settings}", self.attack), source.to_string())
                }
                other => (self.attack.clone(), other.to_string()),
            };
            Error::Unfit { option: "--attack", given, reason }
        })
    }

    /// The strategy against a classifier of `classes` classes that is such an aggregate.
    ///
    /// # Errors
    /// [`Error::Unfit`] for pairs that make no sense, with what is allowed.
    pub fn strategy(&self, aggregate: Option<Aggregation>, classes: usize) -> Result<Box<dyn Strategy>> {
        let refuse = |reason: String| {
            Err(Error::Unfit { option: "--strategy", given: self.strategy.to_string(), reason })
        };
        if let Some(class) = self.target {
            if class as usize >= classes {
                return Err(Error::Unfit {
                    option: "--target",
                    given: class.to_string(),
                    reason: format!("the classifier has {classes} classes: 0 to {}", classes - 1),
                });
            }
            if self.strategy != StrategyName::Softmax.into() {
                return refuse("--target goes with strategy softmax only".to_owned());
            }
            let chosen = Some("--target has chosen one");
            check_loss(&self.config()?, self.loss(), classes, chosen).map_err(|error| self.unfit(error))?;
            return Ok(Box::new(Towards { class, loss: self.loss() }));
        }
        let description =
            AttackDescription { attack: self.config()?, loss: self.loss(), strategy: self.strategy };
        description.strategy(aggregate, classes).map_err(|error| self.unfit(error))
    }

    /// As errors here name what does not fit: by its option.
    fn unfit(&self, error: robin_aggregation::Error) -> Error {
        use robin_aggregation::Error as Refused;
        let strategy = || ("--strategy", self.strategy.to_string());
        let ((option, given), reason) = match error {
            Refused::Loss { loss, reason } => (("--loss", loss.to_string()), reason),
            Refused::Unfit { reason, .. } => (strategy(), reason),
            other => (strategy(), other.to_string()),
        };
        Error::Unfit { option, given, reason }
    }

    /// What it is called in ledgers.
    pub fn label(&self) -> String {
        if self.is_bundle() {
            return self.attack.clone();
        }
        let target = self.target.map(|class| format!(" to {class}")).unwrap_or_default();
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {} {}{target}{}", self.attack, self.strategy, self.loss(), settings.concat())
    }

    /// A request for `attack` with these numbers, maximising `loss` by `strategy`.
    pub(crate) fn new(attack: &str, settings: Value, loss: Loss, strategy: StrategyChoice) -> Self {
        let settings = match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        Self { attack: attack.to_owned(), settings, loss: Some(loss), strategy, target: None }
    }

    /// The length of a step in pixels, as specs write it.
    pub fn absolute_step(pixels: f64) -> Value {
        json!({ "absolute": pixels })
    }
}
