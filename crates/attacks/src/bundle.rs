//! Attacks in stages, each on the examples that the stages before have failed on.

use crate::{Config, Loss, Reach, apgd, fab, square};

/// One stage of a bundle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// What it is called in reports.
    pub name: &'static str,
    /// The attack without its budget.
    pub attack: Config,
    /// What it maximises on all scores.
    pub loss: Loss,
}

/// The name of [`autoattack`] where attacks are chosen by name.
pub const AUTOATTACK: &str = "autoattack";

/// The fewest classes that [`autoattack`] can be asked about: the ratio that its second stage maximises compares four.
pub const AUTOATTACK_LEAST_CLASSES: usize = 4;

/// AutoAttack, version standard, of at least 4 classes (Croce & Hein 2020): the same stages in both norms, with
/// the numbers of its authors' program. Below 4 classes the second stage is refused.
pub fn autoattack() -> Vec<Stage> {
    vec![
        Stage { name: "apgd-ce", attack: Config::Apgd(apgd::usual(100)), loss: Loss::Ce },
        Stage { name: "apgd-t", attack: Config::Apgd(apgd::usual(100)), loss: Loss::DlrT(9) },
        Stage { name: "fab-t", attack: Config::FabT(fab::usual(100)), loss: Loss::MarginT(9) },
        Stage {
            name: "square",
            attack: Config::Square(square::usual(5000, Reach::AllButLast)),
            loss: Loss::Margin,
        },
    ]
}
