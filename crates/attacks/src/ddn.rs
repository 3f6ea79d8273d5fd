//! Decoupled direction and norm.

use robin_core::{Batch, Norm, Objective, Result, Seed, Stream, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::minimal::{Approach, Departure, Follows, MinimalAttack, Nearest, Smallest, approach};
use crate::search::{Search, Seen};
use crate::settings::{self, Check, only};
use crate::vector::{add_scaled, difference, l2, widen};

/// Steps along the gradient on a sphere around the clean image, which shrinks where the image is adversarial
/// and grows where it is not (Rony et al. 2019, algorithm 1; constants of adv-lib 0.2.8). l2.
///
/// Where the gradient is exactly zero the step is random, and counted.
#[derive(Debug, Clone, Copy)]
pub struct Ddn {
    /// Looks at the model, the clean image's included.
    pub steps: usize,
    /// The sphere's radius changes by this share at each step.
    pub radius_rate: f64,
    /// Its first radius, in pixels.
    pub first_radius: f64,
    /// Images are rounded to this many grey levels, as saved images are; `None`: not at all.
    pub levels: Option<u32>,
}

/// Settings of [`Ddn`]. l2 only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// Between 0 and 1.
    pub radius_rate: f64,
    /// In pixels, > 0.
    pub first_radius: f64,
    /// At least 2; `None`: no rounding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str =
        "a sphere that shrinks and grows around the boundary: small perturbations at little cost";
    const EXAMPLE: Self = usual(100);
    const BRIEF: Self = usual(15);
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        only(check, norm, Norm::L2)?;
        if let Some(levels) = self.levels {
            check.levels("levels", levels)?;
        }
        Ok(Box::new(Ddn {
            steps: check.steps("steps", self.steps)?,
            radius_rate: check.rate("radius_rate", self.radius_rate)?,
            first_radius: check.positive("first_radius", self.first_radius)?,
            levels: self.levels,
        }))
    }
}

const fn usual(steps: usize) -> Settings {
    Settings { steps, radius_rate: 0.05, first_radius: 1.0, levels: Some(256) }
}

/// Length of the last step; the first has length 1 (a cosine between them).
const LAST_STEP: f64 = 0.01;

impl MinimalAttack for Ddn {
    fn norm(&self) -> Norm {
        Norm::L2
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
            let farthest = farthest(clean);
            Run {
                settings: *self,
                image: clean.to_vec(),
                radius: self.first_radius,
                farthest,
                step: 0,
                stream: departure.seed.stream(departure.id),
                nearest: departure.nearest,
            }
        };
        approach(("ddn", Follows::Any), Norm::L2, target, objectives, batch, seed, enough, depart)
    }
}

/// l2 distance of the farthest corner of the box.
fn farthest(clean: &[f32]) -> f64 {
    clean.iter().map(|&x| f64::from(x).max(1.0 - f64::from(x)).powi(2)).sum::<f64>().sqrt()
}

struct Run {
    settings: Ddn,
    image: Vec<f32>,
    radius: f64,
    farthest: f64,
    /// Looks so far.
    step: usize,
    stream: Stream,
    nearest: Nearest,
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        (self.step < self.settings.steps && !self.nearest.is_enough()).then_some(&self.image)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        self.nearest.offer(&self.image, seen.verdict);
        let clean = self.nearest.clean();
        let mut delta = difference(&self.image, clean);
        let mut direction = widen(seen.gradient);
        let length = if seen.gradient.iter().all(|&g| g == 0.0) {
            direction.iter_mut().for_each(|d| *d = self.stream.gaussian());
            1.0
        } else {
            l2(&direction)
        };
        let phase = std::f64::consts::PI * self.step as f64 / self.settings.steps as f64;
        let step = LAST_STEP + (1.0 - LAST_STEP) * (1.0 + libm::cos(phase)) / 2.0;
        add_scaled(&mut delta, step / length, &direction);
        let rate = self.settings.radius_rate;
        self.radius *= if seen.verdict.misclassified { 1.0 - rate } else { 1.0 + rate };
        self.radius = self.radius.min(self.farthest);
        let size = l2(&delta);
        let scale = if size > 0.0 { self.radius / size } else { 0.0 };
        for ((x, &c), d) in self.image.iter_mut().zip(clean).zip(delta) {
            let moved = (f64::from(c) + scale * d).clamp(0.0, 1.0);
            *x = match self.settings.levels {
                Some(levels) => {
                    let steps = f64::from(levels - 1);
                    ((moved * steps).round_ties_even() / steps) as f32
                }
                None => moved as f32,
            };
        }
        self.step += 1;
    }
}

impl Approach for Run {
    fn nearest(self) -> Nearest {
        self.nearest
    }
}
