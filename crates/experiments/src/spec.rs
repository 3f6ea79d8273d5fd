//! An experiment as it is written: TOML, nothing resolved. See `specs/table-1.toml`.

use std::collections::BTreeMap;

use robin_aggregation::StrategyName;
use robin_attacks::{Loss, StepSize};
use robin_core::{Budget, Epsilon, Norm};
use robin_data::{DatasetName, Sampling};
use robin_training::{AttackMode, AttackStart, Proportion, Schedule};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Name and text of every item that can be reproduced.
pub static ITEMS: &[(&str, &str)] = &[("table-1", include_str!("../specs/table-1.toml"))];

/// One table or figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Its name on the command line.
    pub item: String,
    /// Its heading.
    pub title: String,
    /// Root seeds of profile `paper`.
    pub seeds: Vec<u64>,
    /// Training settings by name.
    pub recipes: BTreeMap<String, Recipe>,
    /// How networks are measured on their own training set.
    pub training_set: AttackSpec,
    /// What is compared.
    pub classifiers: Vec<ClassifierSpec>,
    /// How it is measured.
    pub columns: Vec<Column>,
    /// On what.
    pub rows: Vec<Row>,
    /// Shrinks everything to minutes.
    pub smoke: ProfileSpec,
    /// Shrinks it to hours.
    pub quick: ProfileSpec,
}

impl Spec {
    /// The spec called `item`.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the items.
    pub fn named(item: &str) -> Result<Self> {
        match ITEMS.iter().find(|(name, _)| *name == item) {
            Some((name, text)) => Self::parse(name, text),
            None => Err(Error::Unknown {
                what: "item",
                given: item.to_owned(),
                valid: ITEMS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Reads the TOML `text` of the spec `item`.
    ///
    /// # Errors
    /// [`Error::Spec`] with the position of the mistake.
    pub fn parse(item: &str, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|source| Error::Spec { item: item.to_owned(), source: Box::new(source) })
    }
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
    /// Zeros around an image before the random crop, in pixels; 0 = no crop.
    pub crop_padding: usize,
    /// Batches of networks with all classes.
    pub sampling: Sampling,
    /// Batches of one-vs-all arms.
    pub arm_sampling: Sampling,
    /// What the networks' first layer does; without it images stay as they are.
    #[serde(default)]
    pub normalize: Option<Normalize>,
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
            schedule: self.schedule.clone(),
            sampling,
            crop_padding: self.crop_padding,
            padding: robin_data::Padding::Zeros,
            flip: robin_data::Flip::None,
            attack_mode: AttackMode::Eval,
            label_smoothing: 0.0,
            weight_averaging: None,
            validation: None,
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

/// A base attack with the loss that it raises; the budget is the row's.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AttackSpec {
    /// The attack.
    pub attack: robin_attacks::Config,
    /// The loss.
    pub loss: Loss,
}

/// Something that is compared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierSpec {
    /// Its name in the table and in `published`.
    pub name: String,
    /// Of what it is made.
    pub kind: ClassifierKind,
    /// What it is attacked with, at least one.
    pub strategies: Vec<StrategyName>,
}

/// How networks become a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassifierKind {
    /// One network with all classes.
    Single,
    /// One binary network per class; the highest score wins.
    OneVsAll,
}

/// One accuracy per row and classifier: clean, or under an attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the table and in `published`.
    pub name: String,
    /// The attack; without one the column is clean accuracy.
    #[serde(default)]
    pub attack: Option<robin_attacks::Config>,
    /// The loss that the attack raises; present exactly when an attack is.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// Only the first so many test images, for attacks that would take weeks.
    #[serde(default)]
    pub images: Option<usize>,
}

/// What is trained, with what budget, and what the paper found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The data.
    pub dataset: DatasetName,
    /// The architecture.
    pub model: String,
    /// How perturbations are measured, in training and test.
    pub norm: Norm,
    /// Their largest size, in training and test.
    pub epsilon: Epsilon,
    /// One of [`Spec::recipes`].
    pub recipe: String,
    /// Printed accuracy by classifier and column.
    pub published: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Row {
    /// `dataset/model/norm`, what `--rows` looks at.
    pub fn label(&self) -> String {
        format!("{}/{}/{}", self.dataset, self.model, self.norm)
    }

    /// The row's budget.
    pub fn budget(&self) -> Budget {
        Budget { norm: self.norm, epsilon: self.epsilon }
    }
}

/// What a profile shrinks. There is no field for anything that belongs to the method.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Where the images come from.
    pub data: DataPlace,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// At most so many training images for the accuracy on the training set.
    pub training_set_images: usize,
    /// By data set.
    pub datasets: BTreeMap<DatasetName, Shrink>,
    /// By the row's architecture; goes before what is said of the data set.
    #[serde(default)]
    pub models: BTreeMap<String, Shrink>,
}

/// Where a profile takes its images from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataPlace {
    /// The subset inside the program.
    Embedded,
    /// The full set in the data folder.
    Folder,
}

/// What a profile shrinks for one data set or architecture; what is absent stays as the row has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shrink {
    /// Smaller architectures in place of the rows'.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// Channels of the first convolution.
    pub width: Option<usize>,
    /// Passes over the training set.
    pub epochs: Option<usize>,
    /// The first so many training images.
    pub train_images: Option<usize>,
    /// The first so many test images.
    pub test_images: Option<usize>,
    /// At most so many training images for the accuracy on the training set, in place of the profile's number.
    pub training_set_images: Option<usize>,
}

impl Shrink {
    /// This, where `special` says nothing.
    pub fn with(&self, special: &Self) -> Self {
        let mut models = self.models.clone();
        models.extend(special.models.clone());
        Self {
            models,
            width: special.width.or(self.width),
            epochs: special.epochs.or(self.epochs),
            train_images: special.train_images.or(self.train_images),
            test_images: special.test_images.or(self.test_images),
            training_set_images: special.training_set_images.or(self.training_set_images),
        }
    }
}
