//! An attack by its names on the command line.

use std::fmt;
use std::str::FromStr;

use robin_aggregation::{Aggregation, Stages, StrategyConfig, StrategyName};
use robin_attacks::{ATTACKS, Config, Loss};
use robin_core::Strategy;
use serde_json::{Map, Value, json};

use super::target::Towards;
use crate::{Error, Result};

/// A base attack, its settings, a loss and a strategy.
#[derive(Debug, Clone)]
pub struct MeansRequest {
    /// The base attack's name.
    pub attack: String,
    /// Settings that differ from the list's example, by their names in specs.
    pub settings: Map<String, Value>,
    /// What is raised.
    pub loss: Loss,
    /// Of which scores.
    pub strategy: StrategyChoice,
    /// The wanted class; `None`: any wrong one.
    pub target: Option<u32>,
}

/// A strategy against scores, or against the stages of a hierarchical classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyChoice {
    /// Which scores of an aggregate are raised.
    Scores(StrategyConfig),
    /// Which stages are attacked.
    Stages(Stages),
}

impl fmt::Display for StrategyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(config) => config.fmt(f),
            Self::Stages(stages) => stages.fmt(f),
        }
    }
}

impl FromStr for StrategyChoice {
    type Err = robin_aggregation::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(stages) => Ok(Self::Stages(stages)),
            Err(_) => text.parse().map(Self::Scores),
        }
    }
}

impl MeansRequest {
    /// The base attack with its settings.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the attacks, [`Error::Unfit`] the settings that the attack has.
    pub fn config(&self) -> Result<Config> {
        let entry = ATTACKS.iter().find(|entry| entry.name == self.attack).ok_or_else(|| Error::Unknown {
            what: "attack",
            given: self.attack.clone(),
            valid: ATTACKS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
        })?;
        let json = |source| Error::Json { what: "the attack's settings", source };
        let mut settings = serde_json::to_value(entry.example).map_err(json)?;
        for (name, value) in &self.settings {
            let Some(slot) = settings.get_mut(name).filter(|_| name != "name") else {
                let fields: Vec<&str> = settings
                    .as_object()
                    .map(|fields| fields.keys().map(String::as_str).filter(|name| *name != "name").collect())
                    .unwrap_or_default();
                return Err(Error::Unfit {
                    option: "--attack",
                    given: self.attack.clone(),
                    reason: format!("it has no setting {name} (it has: {})", fields.join(", ")),
                });
            };
            *slot = value.clone();
        }
        serde_json::from_value(settings).map_err(|source| Error::Unfit {
            option: "--attack",
            given: format!("{} with {}", self.attack, Value::Object(self.settings.clone())),
            reason: source.to_string(),
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
            if self.strategy != StrategyChoice::Scores(StrategyName::Softmax.into()) {
                return refuse("--target goes with strategy softmax only".to_owned());
            }
            return Ok(Box::new(Towards { class, loss: self.loss }));
        }
        match (self.strategy, aggregate) {
            (StrategyChoice::Stages(stages), Some(Aggregation::Hierarchical(split))) => {
                Ok(stages.build(self.loss, &split.split()))
            }
            (StrategyChoice::Stages(_), _) => {
                refuse("it attacks the stages of --aggregate hierarchical:SPLIT, and this is none".to_owned())
            }
            (StrategyChoice::Scores(config), None | Some(Aggregation::Ensemble))
                if !matches!(config.name, StrategyName::Softmax | StrategyName::MarginT) =>
            {
                refuse(
                    "it attacks arms, and this classifier has none (allowed: softmax, margin-t)".to_owned(),
                )
            }
            (StrategyChoice::Scores(config), _) => {
                let pair = |error: robin_aggregation::Error| Error::Unfit {
                    option: "--strategy",
                    given: config.to_string(),
                    reason: error.to_string(),
                };
                config.check_attack(&self.attack).map_err(pair)?;
                config.build(self.loss).map_err(pair)
            }
        }
    }

    /// What it is called in ledgers.
    pub fn label(&self) -> String {
        let target = self.target.map(|class| format!(" to {class}")).unwrap_or_default();
        let settings: Vec<String> =
            self.settings.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{} {} {}{target}{}", self.attack, self.strategy, self.loss, settings.concat())
    }

    /// A request for `attack` with these numbers, raising `loss` by `strategy`.
    pub(crate) fn new(attack: &str, settings: Value, loss: Loss, strategy: StrategyChoice) -> Self {
        let settings = match settings {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        Self { attack: attack.to_owned(), settings, loss, strategy, target: None }
    }

    /// The length of a step in pixels, as specs write it.
    pub fn absolute_step(pixels: f64) -> Value {
        json!({ "absolute": pixels })
    }
}
