//! What the settings of every attack have: where they come from, and how an attack is made of them.

mod check;

use robin_core::{Attack, Budget, Epsilon, Norm};
use serde::{Deserialize, Serialize};

pub use self::check::MOST_RUNS;
pub(crate) use self::check::{Check, only};
use crate::minimal::WithinBudget;
use crate::{Error, Loss, MinimalAttack, Result};

/// An attack's settings, and what is known of it. Attacks with a budget are built with it; those that look for the smallest
/// perturbation are not, and count where it is within the budget.
pub(crate) trait Settings: Sized {
    /// One line on what it does.
    const SUMMARY: &'static str;
    /// Settings to start from: those of its authors, where it has any.
    const EXAMPLE: Self;
    /// The same at so little work that it can be run by the thousand: for tests, and of no other use.
    const BRIEF: Self;
    /// The loss that it maximises where nobody asks for another: its authors'.
    const LOSS: Loss;
    /// Whether it aims at the border between classes, and so refuses a loss that is not 0 there ([`Loss::is_signed`]).
    const BORDER: bool;
    /// The norms that it exists in.
    const NORMS: &'static [Norm];

    fn build(&self, check: &Check, budget: Budget) -> Result<Box<dyn Attack>> {
        Ok(Box::new(WithinBudget { attack: self.minimal(check, budget.norm)?, budget }))
    }

    fn minimal(&self, check: &Check, _norm: Norm) -> Result<Box<dyn MinimalAttack>> {
        Err(Error::NotMinimal { attack: check.0 })
    }
}

/// Length of a step, in the budget's norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StepSize {
    /// This many times `epsilon / steps`.
    Relative(f64),
    /// In pixels.
    Absolute(f64),
}

impl StepSize {
    /// `2.5 * epsilon / steps` (Madry's rule), which can reach the ball's border from any start and move
    /// along it.
    pub const STANDARD: StepSize = StepSize::Relative(2.5);

    /// The length in pixels for an attack of `steps` steps.
    ///
    /// # Errors
    /// [`Error::Setting`] unless it is > 0 and no more than any attack's number may be; 0 is allowed with epsilon 0, where no
    /// step can move.
    pub fn pixels(self, epsilon: Epsilon, steps: usize) -> Result<f64> {
        let pixels = match self {
            StepSize::Relative(factor) => factor * epsilon.get() / steps as f64,
            StepSize::Absolute(pixels) => pixels,
        };
        let wrong_factor = matches!(self, StepSize::Relative(factor) if factor.is_nan() || factor <= 0.0);
        let legal = pixels > 0.0 || (pixels == 0.0 && epsilon.get() == 0.0);
        if legal && pixels <= check::LARGEST && !wrong_factor {
            return Ok(pixels);
        }
        Err(Error::Setting {
            attack: "pgd",
            field: "step_size",
            value: format!("{self:?} ({pixels} pixels at epsilon {epsilon}, {steps} steps)"),
            allowed: format!("a number > 0, at most {:e} pixels", check::LARGEST),
        })
    }
}
