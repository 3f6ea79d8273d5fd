//! Fast adaptive boundary.

use robin_core::{Batch, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::hyperplane::step_to;
use crate::minimal::{Approach, Departure, Follows, MinimalAttack, Nearest, Smallest, approach};
use crate::search::{Search, Seen};
use crate::settings::{self, Check};
use crate::vector::{difference, l2, widen};

/// Steps onto the hyperplane where the objective, taken as linear, is 0: from the present point and from the
/// clean image, mixed with more weight on the first, and beyond the hyperplane by a little. From an adversarial
/// point it goes part of the way back to the clean image (Croce & Hein 2020b, algorithm 1; constants of the
/// authors' program). Both norms; within the box at every step.
///
/// With loss `margin-t:9` it is FAB-T of AutoAttack. It draws nothing at random: the first run of the authors'
/// program starts at the clean image, and AutoAttack makes one.
#[derive(Debug, Clone, Copy)]
pub struct Fab {
    /// How distance is measured.
    pub norm: Norm,
    /// Number of steps.
    pub steps: usize,
    /// Largest weight of the step from the clean image.
    pub largest_weight: f64,
    /// Length of a step over the distance to the hyperplane.
    pub overshoot: f64,
    /// Share of its perturbation that an adversarial point keeps.
    pub kept: f64,
}

/// Settings of [`Fab`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// In `[0, 1]`.
    pub largest_weight: f64,
    /// > 0.
    pub overshoot: f64,
    /// Between 0 and 1.
    pub kept: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str =
        "steps onto the boundary, taken as a plane, for the nearest adversarial image";
    const EXAMPLE: Self = usual(100);
    const BRIEF: Self = usual(8);
    const LOSS: Loss = Loss::MarginT(9);
    const BORDER: bool = true;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        Ok(Box::new(Fab {
            norm,
            steps: check.steps("steps", self.steps)?,
            largest_weight: check.share("largest_weight", self.largest_weight)?,
            overshoot: check.positive("overshoot", self.overshoot)?,
            kept: check.rate("kept", self.kept)?,
        }))
    }
}

/// As AutoAttack runs it, with so many steps.
pub(crate) const fn usual(steps: usize) -> Settings {
    Settings { steps, largest_weight: 0.1, overshoot: 1.05, kept: 0.9 }
}

impl MinimalAttack for Fab {
    fn norm(&self) -> Norm {
        self.norm
    }

    fn smallest(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
        enough: Option<f64>,
    ) -> Result<Smallest> {
        let depart = |departure: Departure| Run {
            settings: *self,
            image: departure.nearest.clean().to_vec(),
            step: 0,
            stepped: false,
            nearest: departure.nearest,
        };
        approach(("fab-t", Follows::Signed), self.norm, target, objectives, batch, seed, enough, depart)
    }
}

struct Run {
    settings: Fab,
    image: Vec<f32>,
    /// Steps made.
    step: usize,
    /// Whether `image` came from a step, and not from going back.
    stepped: bool,
    nearest: Nearest,
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let more = self.step < self.settings.steps || self.stepped;
        (more && !self.nearest.is_enough()).then_some(&self.image)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        self.nearest.offer(&self.image, seen.verdict);
        if self.stepped && seen.verdict.misclassified {
            self.stepped = false;
            let clean = self.nearest.clean();
            for (x, &c) in self.image.iter_mut().zip(clean) {
                *x = (c + (*x - c) * self.settings.kept as f32).clamp(0.0, 1.0);
            }
            return;
        }
        if self.step == self.settings.steps {
            self.stepped = false;
            return;
        }
        self.advance(seen);
    }
}

impl Run {
    fn advance(&mut self, seen: &Seen<'_>) {
        let Fab { norm, largest_weight, overshoot, .. } = self.settings;
        let clean = widen(self.nearest.clean());
        let now = widen(&self.image);
        let slope = widen(seen.gradient);
        let value = f64::from(seen.value);
        let already: f64 =
            slope.iter().zip(difference(&self.image, self.nearest.clean())).map(|(s, d)| s * d).sum();
        let from_now = step_to(norm, &now, &slope, -value);
        let from_clean = step_to(norm, &clean, &slope, already - value);
        let size = |change: &[f64]| {
            let size = match norm {
                Norm::L2 => l2(change),
                Norm::Linf => change.iter().fold(0.0, |largest: f64, d| largest.max(d.abs())),
            };
            size.max(1e-8)
        };
        let (near, far) = (size(&from_now), size(&from_clean));
        let weight = (near / (near + far)).min(largest_weight);
        for (at, x) in self.image.iter_mut().enumerate() {
            let stepped = now[at] + overshoot * from_now[at];
            let anew = clean[at] + overshoot * from_clean[at];
            *x = (stepped * (1.0 - weight) + anew * weight).clamp(0.0, 1.0) as f32;
        }
        self.step += 1;
        self.stepped = true;
    }
}

impl Approach for Run {
    fn nearest(self) -> Nearest {
        self.nearest
    }
}
