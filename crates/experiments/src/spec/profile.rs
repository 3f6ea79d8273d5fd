//! What profiles shrink.

use std::collections::BTreeMap;

use robin_attacks::Config;
use robin_core::Norm;
use robin_data::DatasetName;
use serde::Deserialize;

/// What a profile shrinks. There is no field for anything that belongs to the method.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSpec {
    /// Where the images come from.
    pub data: DataPlace,
    /// How recipes are read where the request does not say: one of [`super::Spec::readings`].
    #[serde(default)]
    pub reading: Option<String>,
    /// Only rows of these architectures; all if absent.
    #[serde(default)]
    pub only_models: Option<Vec<String>>,
    /// Data sets whose rows stand first.
    #[serde(default)]
    pub first: Vec<DatasetName>,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// At most so many training images for the accuracy on the training set.
    pub training_set_images: usize,
    /// By data set.
    pub datasets: BTreeMap<DatasetName, Shrink>,
    /// By the row's architecture; goes before what is said of the data set.
    #[serde(default)]
    pub models: BTreeMap<String, Shrink>,
    /// By the attack's name in the spec.
    #[serde(default)]
    pub attacks: BTreeMap<String, AttackShrink>,
    /// On a GPU in place of what `datasets` and `models` say.
    #[serde(default)]
    pub gpu: Option<GpuShrink>,
}

/// What a profile shrinks on a GPU: architectures, widths and images are the row's.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuShrink {
    /// Share of the recipe's passes over the training set, rounded up.
    pub epochs: f64,
}

impl GpuShrink {
    /// As a [`Shrink`] of a recipe with so many epochs; a share that does not shrink them is left to whoever applies it.
    pub fn of(self, epochs: usize) -> Shrink {
        Shrink { epochs: Some((epochs as f64 * self.epochs).ceil() as usize), ..Shrink::default() }
    }
}

impl ProfileSpec {
    /// This, where an item's `special` says nothing.
    pub(super) fn with(&self, special: &ProfileChanges) -> Self {
        let mut all = self.clone();
        if let Some(seeds) = &special.seeds {
            all.seeds.clone_from(seeds);
        }
        for (name, shrink) in &special.datasets {
            let general = all.datasets.entry(*name).or_default();
            *general = general.with(shrink);
        }
        for (name, shrink) in &special.models {
            let general = all.models.entry(name.clone()).or_default();
            *general = general.with(shrink);
        }
        all.attacks.extend(special.attacks.clone());
        all
    }
}

/// What an item says beyond the common profile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileChanges {
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    datasets: BTreeMap<DatasetName, Shrink>,
    #[serde(default)]
    models: BTreeMap<String, Shrink>,
    #[serde(default)]
    attacks: BTreeMap<String, AttackShrink>,
}

/// A costly attack made cheaper: weaker, and said so wherever its numbers stand.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackShrink {
    /// Only the first so many test images.
    pub images: Option<usize>,
    /// Less work in l2.
    #[serde(default)]
    pub l2: Effort,
    /// Less work in linf.
    #[serde(default)]
    pub linf: Effort,
}

/// Numbers that decide how much work an attack is.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Steps of the attack.
    pub steps: Option<usize>,
    /// Searches of Carlini and Wagner's attack.
    pub searches: Option<usize>,
    /// Queries of the square attack.
    pub queries: Option<usize>,
}

impl AttackShrink {
    /// `attack` in `norm` with what this shrinks, and what it shrank, in words.
    ///
    /// # Errors
    /// In words, what the attack has not, or has less of.
    pub fn apply(&self, attack: &Config, norm: Norm) -> Result<(Config, Vec<String>), String> {
        let Effort { steps, searches, queries } = match norm {
            Norm::L2 => self.l2,
            Norm::Linf => self.linf,
        };
        let mut settings = serde_json::to_value(attack).map_err(|error| error.to_string())?;
        let mut said = Vec::new();
        for (name, asked) in [("steps", steps), ("searches", searches), ("queries", queries)] {
            let Some(asked) = asked else { continue };
            let full = settings[name].as_u64().ok_or_else(|| format!("{} has no {name}", attack.name()))?;
            if asked == 0 || asked as u64 > full {
                return Err(format!("{name} {asked} does not shrink {full}"));
            }
            if (asked as u64) < full {
                settings[name] = asked.into();
                said.push(format!("{name} {asked} (paper: {full})"));
            }
        }
        let shrunk = serde_json::from_value(settings).map_err(|error| error.to_string())?;
        Ok((shrunk, said))
    }
}

/// Where a profile takes its images from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
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
