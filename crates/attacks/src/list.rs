//! The list of base attacks; contract tests loop over it. And an attack as it is written in a spec: its name in the list with
//! its settings.

use robin_core::{Attack, Budget, Norm};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::{Check, Settings};
use crate::{
    Error, Loss, MinimalAttack, Result, apgd, cw, cw_linf, ddn, fab, fgsm, fmn, mi_fgsm, pgd, random_noise,
    square,
};

/// One base attack.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name in specs.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// Settings to start from: those of its authors, where it has any.
    pub example: Config,
    /// The same at so little work that it can be run by the thousand: for tests, and of no other use.
    pub brief: Config,
    /// The loss that it maximises where nobody asks for another: its authors'.
    pub loss: Loss,
    /// Whether it aims at the border between classes, and so refuses a loss that is not 0 there
    /// ([`Loss::is_signed`]).
    pub border: bool,
    /// The norms that it exists in.
    pub norms: &'static [Norm],
}

impl Entry {
    /// The attack called `name`.
    ///
    /// # Errors
    /// [`Error::Unknown`] lists those that there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        ATTACKS.iter().find(|entry| entry.name == name).ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            valid: ATTACKS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", "),
        })
    }

    /// Its usual settings, with `settings` in place of some, by their names in specs. Whether their values are allowed is
    /// found by [`Config::build`].
    ///
    /// # Errors
    /// [`Error::NoSetting`] lists those that it has; [`Error::Written`] for one of another type.
    pub fn with(&self, settings: &Map<String, Value>) -> Result<Config> {
        let written = |source| Error::Written { attack: self.name, source };
        let mut all = serde_json::to_value(self.example).map_err(written)?;
        for (name, value) in settings {
            match all.get_mut(name).filter(|_| name != "name") {
                Some(slot) => *slot = value.clone(),
                None => {
                    let fields = all.as_object().into_iter().flat_map(Map::keys);
                    let has: Vec<&str> = fields.map(String::as_str).filter(|name| *name != "name").collect();
                    return Err(Error::NoSetting {
                        attack: self.name,
                        setting: name.clone(),
                        has: has.join(", "),
                    });
                }
            }
        }
        serde_json::from_value(all).map_err(written)
    }
}

/// Each attack by its name in specs, with the settings that its own file has.
macro_rules! attacks {
    ($($name:literal $variant:ident $settings:ty,)+) => {
        /// A base attack without its budget. Every setting that decides a number is written out. [`Config::build`] knows how
        /// large each may be.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        #[non_exhaustive]
        pub enum Config {
            $(
                #[doc = concat!("`", $name, "`: see its [`Entry::summary`].")]
                #[serde(rename = $name)]
                $variant($settings),
            )+
        }

        /// Every base attack.
        pub static ATTACKS: &[Entry] = &[
            $(Entry {
                name: $name,
                summary: <$settings>::SUMMARY,
                example: Config::$variant(<$settings>::EXAMPLE),
                brief: Config::$variant(<$settings>::BRIEF),
                loss: <$settings>::LOSS,
                border: <$settings>::BORDER,
                norms: <$settings>::NORMS,
            },)+
        ];

        impl Config {
            /// The name in specs and in [`ATTACKS`].
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// The attack with this budget.
            ///
            /// # Errors
            /// [`crate::Error::Setting`] for the first setting outside what is allowed; [`crate::Error::Norm`] if the attack
            /// does not exist in the budget's norm.
            pub fn build(&self, budget: Budget) -> Result<Box<dyn Attack>> {
                match self {
                    $(Self::$variant(settings) => settings.build(&Check($name), budget),)+
                }
            }

            /// The attack without a budget, looking for the smallest perturbation in `norm`.
            ///
            /// # Errors
            /// As [`Config::build`]; [`crate::Error::NotMinimal`] for attacks that need a budget.
            pub fn minimal(&self, norm: Norm) -> Result<Box<dyn MinimalAttack>> {
                match self {
                    $(Self::$variant(settings) => settings.minimal(&Check($name), norm),)+
                }
            }
        }
    };
}

attacks! {
    "fgsm" Fgsm fgsm::Settings,
    "pgd" Pgd pgd::Settings,
    "mi-fgsm" MiFgsm mi_fgsm::Settings,
    "apgd" Apgd apgd::Settings,
    "fab-t" FabT fab::Settings,
    "square" Square square::Settings,
    "cw" Cw cw::Settings,
    "cw-linf" CwLinf cw_linf::Settings,
    "cw-paper" CwPaper cw::PaperSettings,
    "ddn" Ddn ddn::Settings,
    "fmn" Fmn fmn::Settings,
    "random-noise" RandomNoise random_noise::Settings,
}

#[cfg(test)]
mod tests;
