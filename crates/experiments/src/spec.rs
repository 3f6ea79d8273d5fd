//! An experiment as it is written: TOML, nothing resolved. See `specs/table-1.toml`, and `specs/common.toml` for what
//! all items share.

mod beyond;
mod kind;
mod profile;
mod recipe;
mod row;
mod study;

use std::collections::BTreeMap;

use robin_aggregation::{AttackDescription, StrategyChoice};
use robin_attacks::Loss;
use robin_core::Norm;
use serde::{Deserialize, Serialize};

pub use kind::ClassifierKind;
pub use profile::{AttackShrink, DataPlace, Effort, GpuShrink, ProfileSpec, Shrink};
pub use recipe::{HeldOut, Method, Normalize, Reading, Recipe};
pub use row::{Printed, PrintedBudgets, PrintedNumber, PrintedOverlap, Row};
pub use study::{Axis, Cluster, StudyShrink, StudySpec, ToySpec};

use crate::{Error, Profile, Result};

/// Name and text of every item that can be reproduced.
pub static ITEMS: &[(&str, &str)] = &[
    ("table-1", include_str!("../specs/table-1.toml")),
    ("table-2", include_str!("../specs/table-2.toml")),
    ("table-3", include_str!("../specs/table-3.toml")),
    ("table-4", include_str!("../specs/table-4.toml")),
    ("table-5", include_str!("../specs/table-5.toml")),
    ("table-6", include_str!("../specs/table-6.toml")),
    ("figure-1", include_str!("../specs/figure-1.toml")),
    ("figure-2", include_str!("../specs/figure-2.toml")),
    ("figure-3", include_str!("../specs/figure-3.toml")),
    ("figure-4", include_str!("../specs/figure-4.toml")),
    ("figure-5", include_str!("../specs/figure-5.toml")),
    ("figure-6", include_str!("../specs/figure-6.toml")),
    ("figure-8", include_str!("../specs/figure-8.toml")),
    ("section-6-2", include_str!("../specs/section-6-2.toml")),
    ("section-7", include_str!("../specs/section-7.toml")),
];

/// The text of what all items share.
pub const COMMON: &str = include_str!("../specs/common.toml");

/// One table or figure, with what it takes from the common settings.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its name on the command line.
    pub item: String,
    /// Its heading.
    pub title: String,
    /// How its table is laid out.
    pub layout: Layout,
    /// Root seeds of profile `paper`.
    pub seeds: Vec<u64>,
    /// Training settings by name, as they are read.
    pub recipes: BTreeMap<String, Recipe>,
    /// Other ways to read them, by name.
    pub readings: BTreeMap<String, Reading>,
    /// The recipes as they are written, for other readings.
    written_recipes: BTreeMap<String, toml::Table>,
    /// Attacks by name.
    pub attacks: BTreeMap<String, NamedAttack>,
    /// How networks are measured on their own training set.
    pub training_set: AttackSpec,
    /// What is compared.
    pub classifiers: Vec<ClassifierSpec>,
    /// How it is measured.
    pub columns: Vec<Column>,
    /// On what.
    pub rows: Vec<Row>,
    /// What is drawn from the numbers.
    pub figures: Vec<FigureSpec>,
    /// Classifiers whose difference is judged: the second one's against the first one's.
    pub compare: Vec<[String; 2]>,
    /// Strategies whose misclassified examples are compared, the first one's with the second one's.
    pub overlaps: Vec<[StrategyChoice; 2]>,
    /// What is measured beyond tables.
    pub study: Option<StudySpec>,
    /// Said below the table.
    pub notes: Vec<String>,
    /// Said as well where anything beyond the paper is shown.
    pub beyond_notes: Vec<String>,
    /// Shrinks everything to minutes.
    pub smoke: ProfileSpec,
    /// Shrinks it to hours.
    pub quick: ProfileSpec,
    /// Shrinks it to a night.
    pub night: ProfileSpec,
}

/// An item's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    item: String,
    title: String,
    #[serde(default)]
    layout: Layout,
    seeds: Option<Vec<u64>>,
    #[serde(default)]
    recipes: BTreeMap<String, toml::Table>,
    #[serde(default)]
    attacks: BTreeMap<String, NamedAttack>,
    #[serde(default)]
    classifiers: Vec<ClassifierSpec>,
    #[serde(default)]
    columns: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
    study: Option<StudySpec>,
    #[serde(default)]
    figures: Vec<FigureSpec>,
    #[serde(default)]
    compare: Vec<[String; 2]>,
    #[serde(default)]
    overlaps: Vec<[StrategyChoice; 2]>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    beyond_notes: Vec<String>,
    #[serde(default)]
    smoke: profile::ProfileChanges,
    #[serde(default)]
    quick: profile::ProfileChanges,
    #[serde(default)]
    night: profile::ProfileChanges,
}

/// The file of what all items share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    seeds: Vec<u64>,
    recipes: BTreeMap<String, toml::Table>,
    readings: BTreeMap<String, Reading>,
    attacks: BTreeMap<String, NamedAttack>,
    training_set: AttackSpec,
    smoke: ProfileSpec,
    quick: ProfileSpec,
    night: ProfileSpec,
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

    /// Reads the TOML `text` of the spec `item`, with the common settings.
    ///
    /// # Errors
    /// [`Error::Spec`] with the position of the mistake.
    pub fn parse(item: &str, text: &str) -> Result<Self> {
        Self::parse_with(COMMON, item, text)
    }

    /// [`Spec::parse`] with other common settings.
    ///
    /// # Errors
    /// [`Error::Spec`] with the position of the mistake.
    pub fn parse_with(common: &str, item: &str, text: &str) -> Result<Self> {
        let failed = |name: &str| {
            let item = name.to_owned();
            move |source| Error::Spec { item, source: Box::new(source) }
        };
        let common: Common = toml::from_str(common).map_err(failed("common"))?;
        let written: Written = toml::from_str(text).map_err(failed(item))?;
        let mut written_recipes = common.recipes;
        written_recipes.extend(written.recipes);
        let recipes = recipe::resolve(&written_recipes).map_err(failed(item))?;
        let mut attacks = common.attacks;
        attacks.extend(written.attacks);
        Ok(Self {
            item: written.item,
            title: written.title,
            layout: written.layout,
            seeds: written.seeds.unwrap_or(common.seeds),
            recipes,
            readings: recipe::resolve_readings(&common.readings).map_err(failed("common"))?,
            written_recipes,
            attacks,
            training_set: common.training_set,
            classifiers: written.classifiers,
            columns: written.columns,
            rows: written.rows,
            figures: written.figures,
            study: written.study,
            compare: written.compare,
            overlaps: written.overlaps,
            notes: written.notes,
            beyond_notes: written.beyond_notes,
            smoke: common.smoke.with(&written.smoke),
            quick: common.quick.with(&written.quick),
            night: common.night.with(&written.night),
        })
    }

    /// The item with its recipes read as `reading` says: what it changes of a recipe holds for every recipe that is `like` it
    /// and does not say otherwise.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists the readings; [`Error::Spec`] for a recipe that cannot be read so.
    pub fn read_as(mut self, reading: &str) -> Result<Self> {
        let Some(changes) = self.readings.get(reading) else {
            return Err(Error::Unknown {
                what: "reading",
                given: reading.to_owned(),
                valid: self.readings.keys().cloned().collect::<Vec<_>>().join(", "),
            });
        };
        let mut written = self.written_recipes.clone();
        // A reading is common to all items, and not every item has every recipe.
        for (recipe, fields) in &changes.recipes {
            if let Some(table) = written.get_mut(recipe) {
                table.extend(fields.clone());
            }
        }
        self.recipes = recipe::resolve(&written)
            .map_err(|source| Error::Spec { item: self.item.clone(), source: Box::new(source) })?;
        Ok(self)
    }

    /// Whether `reading` changes `recipe`, or one that it is like.
    pub(crate) fn is_read_as(&self, recipe: &str, reading: &str) -> bool {
        let Some(changes) = self.readings.get(reading) else { return false };
        let mut name = Some(recipe);
        while let Some(recipe) = name {
            if changes.recipes.contains_key(recipe) {
                return true;
            }
            name = self
                .written_recipes
                .get(recipe)
                .and_then(|table| table.get("like"))
                .and_then(toml::Value::as_str);
        }
        false
    }

    /// The section for a profile; `paper` has none, because it changes nothing.
    pub fn profile(&self, profile: Profile) -> Option<&ProfileSpec> {
        match profile {
            Profile::Smoke => Some(&self.smoke),
            Profile::Quick => Some(&self.quick),
            Profile::Night => Some(&self.night),
            Profile::Paper => None,
        }
    }
}

/// How a table is laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// A line for each row and classifier, a column for each attack.
    #[default]
    Attacks,
    /// A line for each row and test budget, a column for each strategy, the strongest one marked.
    Strategies,
    /// A line for each row and test budget, a column for each classifier, and what the second gains.
    Gap,
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

impl AttackSpec {
    /// This attack by a strategy.
    pub fn by(&self, strategy: StrategyChoice) -> AttackDescription {
        AttackDescription { attack: self.attack, loss: self.loss, strategy }
    }
}

/// One attack of several in a row, made on what those before have failed on.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StageSpec {
    /// The attack.
    pub attack: robin_attacks::Config,
    /// The loss.
    pub loss: Loss,
    /// In place of the column's strategy, and only for classifiers that are attacked with it. So one column tries every
    /// strategy, each on what the others have not misclassified, for little more than the cost of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyChoice>,
}

impl StageSpec {
    /// This attack by its own strategy, or by `usual`.
    pub fn by(&self, usual: StrategyChoice) -> AttackDescription {
        AttackDescription { attack: self.attack, loss: self.loss, strategy: self.strategy.unwrap_or(usual) }
    }
}

/// An attack that columns name, the same for both norms or one for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedAttack {
    /// The loss that it raises.
    pub loss: Loss,
    /// Against both norms.
    #[serde(default)]
    pub attack: Option<robin_attacks::Config>,
    /// In l2, in place of `attack`.
    #[serde(default)]
    pub l2: Option<robin_attacks::Config>,
    /// In linf, in place of `attack`.
    #[serde(default)]
    pub linf: Option<robin_attacks::Config>,
    /// Only the first so many test images, for attacks that would take weeks.
    #[serde(default)]
    pub images: Option<usize>,
    /// Further attacks, each on the examples that those before have failed on.
    #[serde(default)]
    pub then: Vec<StageSpec>,
}

impl NamedAttack {
    /// The attack in `norm`, if there is one.
    pub fn of(&self, norm: Norm) -> Option<robin_attacks::Config> {
        let own = match norm {
            Norm::L2 => self.l2,
            Norm::Linf => self.linf,
        };
        own.or(self.attack)
    }
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
    pub strategies: Vec<StrategyChoice>,
    /// Networks of an ensemble.
    #[serde(default)]
    pub members: Option<usize>,
    /// The row's width times this, rounded to a width that the architecture has.
    #[serde(default)]
    pub width_factor: Option<f64>,
    /// Networks that learn from some classes only make as many steps as one that learns from all: more passes over their
    /// fewer images.
    #[serde(default)]
    pub equal_steps: bool,
    /// Only in rows of these labels.
    #[serde(default)]
    pub rows: Option<Vec<String>>,
    /// The paper has not got it.
    #[serde(default)]
    pub beyond: bool,
}

/// One accuracy per row, classifier and test budget: clean, or under an attack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name in the table and in `published`.
    pub name: String,
    /// One of [`Spec::attacks`]; without one the column is clean accuracy, or the union.
    #[serde(default)]
    pub attack: Option<String>,
    /// No attack of its own: what withstands the attacks of all other columns that were made on it, with all strategies.
    #[serde(default)]
    pub union: bool,
    /// The attack is made on another classifier.
    #[serde(default)]
    pub transfer: Option<Transfer>,
    /// Only these classifiers; all if absent.
    #[serde(default)]
    pub classifiers: Option<Vec<String>>,
    /// In place of the classifiers' strategies.
    #[serde(default)]
    pub strategies: Option<Vec<StrategyChoice>>,
    /// The column of `published` that belongs beside this one, where it has another name.
    #[serde(default)]
    pub published: Option<String>,
    /// Only in these profiles; in all if absent.
    #[serde(default)]
    pub profiles: Option<Vec<Profile>>,
    /// The paper has not got it.
    #[serde(default)]
    pub beyond: bool,
}

impl Column {
    /// Whether it is accuracy without an attack.
    pub fn is_clean(&self) -> bool {
        self.attack.is_none() && !self.union
    }
}

/// On which classifier a transferred attack is made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// One of [`Spec::classifiers`].
    pub from: String,
    /// Whether it has a target.
    pub aim: TransferAim,
}

/// Where a transferred attack leads its surrogate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferAim {
    /// Away from the label.
    Untargeted,
    /// To the class that the judged classifier ranks second on the clean image.
    Targeted,
}

/// A figure drawn from a table's numbers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSpec {
    /// Its name in files.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What is drawn.
    pub shape: FigureShape,
}

/// How a table's numbers become lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FigureShape {
    /// Accuracy over the test budget; a line for each classifier, strategy and column, a panel for each row.
    Sweep,
}
