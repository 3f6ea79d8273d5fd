//! Fast minimum-norm.

use robin_core::{Batch, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::minimal::{Approach, Departure, Follows, MinimalAttack, Nearest, Smallest, approach};
use crate::search::{Search, Seen};
use crate::settings::{self, Check};
use crate::vector::{add_scaled, difference, l2, widen};

/// Steps along the gradient in a ball around the clean image. Its radius is first set to where the objective,
/// taken as linear, crosses 0; once an adversarial image is known it shrinks where the image is adversarial
/// and grows where it is not (Pintor et al. 2021, algorithm 1; constants of adv-lib 0.2.8). Both norms.
///
/// Differs from adv-lib in l2, where that program scales every image onto the sphere, also one inside it; and
/// the first radius is a step's share beyond the crossing, which otherwise is never crossed where the objective
/// is linear.
#[derive(Debug, Clone, Copy)]
pub struct Fmn {
    /// How distance is measured.
    pub norm: Norm,
    /// Looks at the model, the clean image's included.
    pub steps: usize,
    /// l2 length of the first step.
    pub first_step: f64,
    /// l2 length of the last step (a cosine between them).
    pub last_step: f64,
    /// The radius first changes by this share at each step.
    pub first_rate: f64,
    /// And at last by this share.
    pub last_rate: f64,
}

/// Settings of [`Fmn`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// > 0.
    pub first_step: f64,
    /// > 0.
    pub last_step: f64,
    /// Between 0 and 1.
    pub first_rate: f64,
    /// Between 0 and 1.
    pub last_rate: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "a ball that shrinks and grows around the boundary, in both norms";
    const EXAMPLE: Self = usual(100);
    const BRIEF: Self = usual(15);
    const LOSS: Loss = Loss::Margin;
    const BORDER: bool = true;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        Ok(Box::new(Fmn {
            norm,
            steps: check.steps("steps", self.steps)?,
            first_step: check.positive("first_step", self.first_step)?,
            last_step: check.positive("last_step", self.last_step)?,
            first_rate: check.rate("first_rate", self.first_rate)?,
            last_rate: check.rate("last_rate", self.last_rate)?,
        }))
    }
}

const fn usual(steps: usize) -> Settings {
    Settings { steps, first_step: 1.0, last_step: 0.01, first_rate: 0.05, last_rate: 0.001 }
}

impl MinimalAttack for Fmn {
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
        let depart = |departure: Departure| {
            let clean = departure.nearest.clean();
            let corner: Vec<f32> = clean.iter().map(|&x| if x < 0.5 { 1.0 } else { 0.0 }).collect();
            Run {
                settings: *self,
                image: clean.to_vec(),
                radius: f64::INFINITY,
                farthest: self.norm.distance(clean, &corner),
                best: f64::INFINITY,
                step: 0,
                nearest: departure.nearest,
            }
        };
        approach(("fmn", Follows::Signed), self.norm, target, objectives, batch, seed, enough, depart)
    }
}

struct Run {
    settings: Fmn,
    image: Vec<f32>,
    radius: f64,
    /// Distance of the farthest corner of the box.
    farthest: f64,
    /// Smallest adversarial distance of this run.
    best: f64,
    /// Looks so far.
    step: usize,
    nearest: Nearest,
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        (self.step < self.settings.steps && !self.nearest.is_enough()).then_some(&self.image)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        let distance = self.nearest.offer(&self.image, seen.verdict);
        let Fmn { norm, steps, first_step, last_step, first_rate, last_rate } = self.settings;
        let phase = std::f64::consts::PI * self.step as f64 / steps as f64;
        let cosine = (1.0 + libm::cos(phase)) / 2.0;
        let between = |first: f64, last: f64| last + (first - last) * cosine;
        let rate = between(first_rate, last_rate);
        let gradient = widen(seen.gradient);
        if seen.verdict.misclassified {
            self.best = self.best.min(distance);
            self.radius = (self.radius * (1.0 - rate)).min(self.best);
        } else if self.best.is_finite() {
            self.radius *= 1.0 + rate;
        } else {
            let slope = match norm {
                Norm::L2 => l2(&gradient),
                Norm::Linf => gradient.iter().map(|slope| slope.abs()).sum(),
            };
            self.radius = (distance + f64::from(seen.value).abs() / slope.max(TINY)) * (1.0 + rate);
        }
        self.radius = self.radius.min(self.farthest);
        let clean = self.nearest.clean();
        let mut delta = difference(&self.image, clean);
        add_scaled(&mut delta, between(first_step, last_step) / l2(&gradient).max(TINY), &gradient);
        let size = l2(&delta);
        for ((x, &c), d) in self.image.iter_mut().zip(clean).zip(delta) {
            let inside = match norm {
                Norm::L2 if size > self.radius => d * self.radius / size,
                Norm::L2 => d,
                Norm::Linf => d.clamp(-self.radius, self.radius),
            };
            *x = (f64::from(c) + inside).clamp(0.0, 1.0) as f32;
        }
        self.step += 1;
    }
}

/// Keeps divisions by the length of a gradient finite.
const TINY: f64 = 1e-12;

impl Approach for Run {
    fn nearest(self) -> Nearest {
        self.nearest
    }
}
