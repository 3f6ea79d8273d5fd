//! Attacks as they are written in a spec.

mod check;

use robin_core::{Attack, Budget, Epsilon, Norm};
use serde::{Deserialize, Serialize};

use self::check::Check;
pub use self::check::MOST_RUNS;
use crate::minimal::WithinBudget;
use crate::{
    Apgd, Cw, CwLinf, Ddn, Error, Fab, Fgsm, Fmn, MinimalAttack, Pgd, RandomNoise, Reach, Result, Square,
    Start,
};

/// A base attack without its budget. Every setting that decides a number is written out. [`Config::build`] knows how large
/// each may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Config {
    /// See [`Fgsm`].
    Fgsm {},
    /// See [`Pgd`].
    Pgd {
        /// At least 1.
        steps: usize,
        /// At least 1; 1 means a single run.
        restarts: usize,
        /// Length of a step.
        step_size: StepSize,
        /// Where each run begins.
        start: Start,
    },
    /// See [`RandomNoise`].
    RandomNoise {
        /// Draws per example, at least 1.
        candidates: usize,
    },
    /// See [`Apgd`].
    Apgd {
        /// At least 1.
        steps: usize,
        /// At least 1; 1 means a single run.
        restarts: usize,
        /// Share of steps that must have raised the objective for the step size to be kept, in `[0, 1]`.
        rising_share: f64,
        /// Weight of the new step against the last movement, in `(0, 1]`.
        momentum: f64,
    },
    /// See [`Cw`]. l2 only.
    Cw {
        /// At least 1, in each search.
        steps: usize,
        /// At least 1.
        searches: usize,
        /// Adam's, > 0.
        step_size: f64,
        /// The first constant, > 0.
        first_constant: f64,
        /// At least 0.
        confidence: f64,
    },
    /// See [`CwLinf`]. linf only.
    CwLinf {
        /// At least 1, in each search.
        steps: usize,
        /// Adam's, > 0.
        step_size: f64,
        /// The first constant, > 0.
        first_constant: f64,
        /// The search is given up from here on, > 0.
        largest_constant: f64,
        /// > 1.
        constant_factor: f64,
        /// Between 0 and 1.
        bound_factor: f64,
        /// In pixels, > 0.
        smallest_bound: f64,
    },
    /// [`Cw`] with one constant and no search, as some published tables have it: far weaker than the attack
    /// of its name, and never to be reported without saying so. l2 only.
    CwPaper {
        /// At least 1.
        steps: usize,
        /// Adam's, > 0.
        step_size: f64,
        /// > 0.
        constant: f64,
    },
    /// See [`Ddn`]. l2 only.
    Ddn {
        /// At least 1.
        steps: usize,
        /// Between 0 and 1.
        radius_rate: f64,
        /// In pixels, > 0.
        first_radius: f64,
        /// At least 2; `None`: no rounding.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        levels: Option<u32>,
    },
    /// See [`Fmn`].
    Fmn {
        /// At least 1.
        steps: usize,
        /// > 0.
        first_step: f64,
        /// > 0.
        last_step: f64,
        /// Between 0 and 1.
        first_rate: f64,
        /// Between 0 and 1.
        last_rate: f64,
    },
    /// See [`Fab`].
    FabT {
        /// At least 1.
        steps: usize,
        /// In `[0, 1]`.
        largest_weight: f64,
        /// > 0.
        overshoot: f64,
        /// Between 0 and 1.
        kept: f64,
    },
    /// See [`Square`].
    Square {
        /// At least 1.
        queries: usize,
        /// At least 1; 1 means a single run.
        restarts: usize,
        /// In `(0, 1]`.
        first_share: f64,
        /// Where squares may lie.
        reach: Reach,
    },
}

impl Config {
    /// The name in specs and in [`crate::ATTACKS`].
    pub fn name(&self) -> &'static str {
        match self {
            Config::Fgsm {} => "fgsm",
            Config::Pgd { .. } => "pgd",
            Config::RandomNoise { .. } => "random-noise",
            Config::Apgd { .. } => "apgd",
            Config::Cw { .. } => "cw",
            Config::CwLinf { .. } => "cw-linf",
            Config::CwPaper { .. } => "cw-paper",
            Config::Ddn { .. } => "ddn",
            Config::Fmn { .. } => "fmn",
            Config::FabT { .. } => "fab-t",
            Config::Square { .. } => "square",
        }
    }

    /// The attack with this budget.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting outside what is allowed; [`Error::Norm`] if the attack does not
    /// exist in the budget's norm.
    pub fn build(&self, budget: Budget) -> Result<Box<dyn Attack>> {
        let check = Check(self.name());
        Ok(match *self {
            Config::Fgsm {} => Box::new(Fgsm { budget }),
            Config::Pgd { steps, restarts, step_size, start } => {
                let steps = check.steps("steps", steps)?;
                let restarts = check.runs("restarts", restarts)?;
                let step_size = step_size.pixels(budget.epsilon, steps)?;
                Box::new(Pgd { budget, steps, step_size, restarts, start })
            }
            Config::RandomNoise { candidates } => {
                Box::new(RandomNoise { budget, candidates: check.steps("candidates", candidates)? })
            }
            Config::Apgd { steps, restarts, rising_share, momentum } => Box::new(Apgd {
                budget,
                steps: check.steps("steps", steps)?,
                restarts: check.runs("restarts", restarts)?,
                rising_share: check.share("rising_share", rising_share)?,
                momentum: check.positive_share("momentum", momentum)?,
            }),
            Config::Square { queries, restarts, first_share, reach } => Box::new(Square {
                budget,
                queries: check.steps("queries", queries)?,
                restarts: check.runs("restarts", restarts)?,
                first_share: check.positive_share("first_share", first_share)?,
                reach,
            }),
            Config::Cw { .. }
            | Config::CwLinf { .. }
            | Config::CwPaper { .. }
            | Config::Ddn { .. }
            | Config::Fmn { .. }
            | Config::FabT { .. } => Box::new(WithinBudget { attack: self.minimal(budget.norm)?, budget }),
        })
    }

    /// The attack without a budget, looking for the smallest perturbation in `norm`.
    ///
    /// # Errors
    /// As [`Config::build`]; [`Error::NotMinimal`] for attacks that need a budget.
    pub fn minimal(&self, norm: Norm) -> Result<Box<dyn MinimalAttack>> {
        let check = Check(self.name());
        let only = |allowed: Norm| match norm == allowed {
            true => Ok(()),
            false => Err(Error::Norm { attack: self.name(), norm, allowed }),
        };
        Ok(match *self {
            Config::Cw { steps, searches, step_size, first_constant, confidence } => {
                only(Norm::L2)?;
                Box::new(Cw {
                    step_size: check.positive("step_size", step_size)?,
                    steps: check.steps("steps", steps)?,
                    searches: check.runs("searches", searches)?,
                    first_constant: check.positive("first_constant", first_constant)?,
                    confidence: check.not_negative("confidence", confidence)?,
                })
            }
            Config::CwPaper { steps, step_size, constant } => {
                only(Norm::L2)?;
                Box::new(Cw {
                    step_size: check.positive("step_size", step_size)?,
                    steps: check.steps("steps", steps)?,
                    searches: 1,
                    first_constant: check.positive("constant", constant)?,
                    confidence: 0.0,
                })
            }
            Config::CwLinf {
                steps,
                step_size,
                first_constant,
                largest_constant,
                constant_factor,
                bound_factor,
                smallest_bound,
            } => {
                only(Norm::Linf)?;
                Box::new(CwLinf {
                    step_size: check.positive("step_size", step_size)?,
                    steps: check.steps("steps", steps)?,
                    first_constant: check.positive("first_constant", first_constant)?,
                    largest_constant: check.positive("largest_constant", largest_constant)?,
                    constant_factor: check.above_one("constant_factor", constant_factor)?,
                    bound_factor: check.rate("bound_factor", bound_factor)?,
                    smallest_bound: check.positive("smallest_bound", smallest_bound)?,
                })
            }
            Config::Ddn { steps, radius_rate, first_radius, levels } => {
                only(Norm::L2)?;
                if let Some(levels) = levels {
                    check.levels("levels", levels)?;
                }
                Box::new(Ddn {
                    steps: check.steps("steps", steps)?,
                    radius_rate: check.rate("radius_rate", radius_rate)?,
                    first_radius: check.positive("first_radius", first_radius)?,
                    levels,
                })
            }
            Config::Fmn { steps, first_step, last_step, first_rate, last_rate } => Box::new(Fmn {
                norm,
                steps: check.steps("steps", steps)?,
                first_step: check.positive("first_step", first_step)?,
                last_step: check.positive("last_step", last_step)?,
                first_rate: check.rate("first_rate", first_rate)?,
                last_rate: check.rate("last_rate", last_rate)?,
            }),
            Config::FabT { steps, largest_weight, overshoot, kept } => Box::new(Fab {
                norm,
                steps: check.steps("steps", steps)?,
                largest_weight: check.share("largest_weight", largest_weight)?,
                overshoot: check.positive("overshoot", overshoot)?,
                kept: check.rate("kept", kept)?,
            }),
            Config::Fgsm {}
            | Config::Pgd { .. }
            | Config::RandomNoise { .. }
            | Config::Apgd { .. }
            | Config::Square { .. } => return Err(Error::NotMinimal { attack: self.name() }),
        })
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

#[cfg(test)]
mod tests;
