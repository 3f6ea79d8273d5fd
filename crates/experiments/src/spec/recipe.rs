//! How networks are trained, as it is written: everything but the budget, which is the row's.

use std::collections::BTreeMap;

use robin_attacks::StepSize;
use robin_core::Budget;
use robin_data::{Flip, Padding, Sampling};
use robin_nn::Parameters;
use robin_training::{AttackMode, AttackStart, Outputs, Proportion, Schedule, Validation};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

/// Recipes that are `like` another, completed.
///
/// # Errors
/// Of TOML: a recipe that there is not, one that is like itself, a setting that is missing or unknown.
pub(super) fn resolve(
    written: &BTreeMap<String, toml::Table>,
) -> Result<BTreeMap<String, Recipe>, toml::de::Error> {
    let complete = |name: &String| {
        let mut table = written[name].clone();
        let mut seen = vec![name.clone()];
        while let Some(like) = table.remove("like") {
            let like = like.as_str().unwrap_or_default().to_owned();
            let base = written.get(&like).filter(|_| !seen.contains(&like)).ok_or_else(|| {
                toml::de::Error::custom(format!("recipe {name} is like {like:?}, which is no other recipe"))
            })?;
            for (field, value) in base {
                table.entry(field.clone()).or_insert_with(|| value.clone());
            }
            seen.push(like);
        }
        let recipe = Recipe::deserialize(table)
            .map_err(|error| toml::de::Error::custom(format!("recipe {name}: {error}")))?;
        Ok((name.clone(), recipe))
    };
    written.keys().map(complete).collect()
}

/// Readings that are `like` another, completed.
///
/// # Errors
/// Of TOML: a reading that there is not, one that is like itself.
pub(super) fn resolve_readings(
    written: &BTreeMap<String, Reading>,
) -> Result<BTreeMap<String, Reading>, toml::de::Error> {
    let complete = |(name, reading): (&String, &Reading)| {
        let (mut reading, mut seen) = (reading.clone(), vec![name]);
        let mut like = written[name].like.as_ref();
        while let Some(other) = like {
            let base = written.get(other).filter(|_| !seen.contains(&other)).ok_or_else(|| {
                toml::de::Error::custom(format!(
                    "reading {name} is like {other:?}, which is no other reading"
                ))
            })?;
            for (recipe, fields) in &base.recipes {
                let own = reading.recipes.entry(recipe.clone()).or_default();
                for (field, value) in fields {
                    own.entry(field.clone()).or_insert_with(|| value.clone());
                }
            }
            seen.push(other);
            like = base.like.as_ref();
        }
        Ok((name.clone(), reading))
    };
    written.iter().map(complete).collect()
}

/// Another way to read recipes: settings in place of those that they state.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// What it is, said wherever its numbers stand.
    pub says: String,
    /// Another reading, whose changes it makes first.
    #[serde(default)]
    pub like: Option<String>,
    /// By recipe, the settings that it changes.
    pub recipes: BTreeMap<String, toml::Table>,
}

/// Training settings without the budget, which is the row's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// How examples are attacked in training.
    pub method: Method,
    /// Passes over the training set.
    pub epochs: usize,
    /// Examples in a batch.
    pub batch_size: usize,
    /// Of SGD, at the start.
    pub learning_rate: f64,
    /// Of SGD.
    pub momentum: f64,
    /// Of SGD.
    pub weight_decay: f64,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// Pixels around an image before the random crop; 0 = no crop.
    pub crop_padding: usize,
    /// What these pixels are.
    #[serde(default = "zeros")]
    pub padding: Padding,
    /// Whether images are mirrored at random.
    #[serde(default = "no_flip")]
    pub flip: Flip,
    /// Training images that are held out; the epoch with the highest robust accuracy on them is kept.
    #[serde(default)]
    pub held_out: Option<HeldOut>,
    /// Batches of networks with all classes.
    pub sampling: Sampling,
    /// Batches of one-vs-all arms.
    pub arm_sampling: Sampling,
    /// What the networks' first layer does; without it images stay as they are.
    #[serde(default)]
    pub normalize: Option<Normalize>,
}

fn zeros() -> Padding {
    Padding::Zeros
}

fn no_flip() -> Flip {
    Flip::None
}

/// [`Validation`] without the budget.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// How many.
    pub images: usize,
    /// Steps of PGD on them.
    pub steps: usize,
    /// Length of a step.
    pub step_size: StepSize,
}

/// Input normalisation `(x - mean) / std` per channel, `x` in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// `[c]`.
    pub mean: Vec<f64>,
    /// `[c]`, above 0.
    pub std: Vec<f64>,
}

impl Normalize {
    /// Puts the numbers into the first layer of `parameters`, which every model has.
    pub(crate) fn fill(&self, parameters: &mut Parameters) {
        for (name, values) in [("normalize.mean", &self.mean), ("normalize.std", &self.std)] {
            let buffer = parameters.buffers.iter_mut().find(|buffer| buffer.name == name);
            let buffer = buffer.expect("every model begins with this layer");
            buffer.values = values.iter().map(|&value| value as f32).collect();
        }
    }
}

impl Recipe {
    /// The complete settings for `budget`.
    pub fn config(&self, budget: Budget, epochs: usize, sampling: Sampling) -> robin_training::Config {
        let method = match self.method {
            Method::Standard {} => robin_training::Method::Standard {},
            Method::PgdAt { steps, step_size, proportion } => {
                robin_training::Method::PgdAt { budget, steps, step_size, proportion }
            }
            Method::Trades { steps, step_size, lambda, start } => {
                robin_training::Method::Trades { budget, steps, step_size, lambda, start }
            }
            Method::Mart { steps, step_size, lambda, start } => {
                robin_training::Method::Mart { budget, steps, step_size, lambda, start }
            }
        };
        robin_training::Config {
            method,
            epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            outputs: Outputs::Classes,
            schedule: self.schedule.clone(),
            sampling,
            crop_padding: self.crop_padding,
            padding: self.padding,
            flip: self.flip,
            attack_mode: AttackMode::Eval,
            label_smoothing: 0.0,
            weight_averaging: None,
            validation: self.held_out.map(|HeldOut { images, steps, step_size }| Validation {
                images,
                budget,
                steps,
                step_size,
            }),
        }
    }
}

/// [`robin_training::Method`] without the budget.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// Clean images.
    Standard {},
    /// Adversarial training with PGD.
    PgdAt {
        /// Steps of the training attack.
        steps: usize,
        /// Their length.
        step_size: StepSize,
        /// Share of attacked examples over the epochs.
        proportion: Proportion,
    },
    /// TRADES.
    Trades {
        /// Steps of the training attack.
        steps: usize,
        /// Their length.
        step_size: StepSize,
        /// Weight of the divergence.
        lambda: f64,
        /// Where the training attack begins.
        start: AttackStart,
    },
    /// MART.
    Mart {
        /// Steps of the training attack.
        steps: usize,
        /// Their length.
        step_size: StepSize,
        /// Weight of the divergence.
        lambda: f64,
        /// Where the training attack begins.
        start: AttackStart,
    },
}
