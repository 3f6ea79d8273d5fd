//! Carlini and Wagner's linf attack.

use robin_core::{Batch, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::minimal::{Approach, Departure, Follows, MinimalAttack, Nearest, Smallest, approach};
use crate::search::{Search, Seen};
use crate::settings::{self, Check, only};
use crate::tanh_box::TanhBox;

/// Lowers `sum_i max(0, |x_i - clean_i| - bound) + constant * max(0, -objective)` by Adam on the arguments of
/// a tanh. Each success lowers the bound, each failure doubles the constant, and every search goes on where
/// the last one ended (Carlini & Wagner 2017, section VI.C; constants of adv-lib 0.2.8).
///
/// The bound and the constant are each example's own.
#[derive(Debug, Clone, Copy)]
pub struct CwLinf {
    /// Adam's step size, on the tanh's arguments.
    pub step_size: f64,
    /// Looks at the model in each search, at least 1.
    pub steps: usize,
    /// The first constant.
    pub first_constant: f64,
    /// From here on the search is given up.
    pub largest_constant: f64,
    /// What a failure multiplies the constant by.
    pub constant_factor: f64,
    /// What a success multiplies the bound by, or the distance reached if that is smaller.
    pub bound_factor: f64,
    /// Down to here the bound is lowered, in pixels.
    pub smallest_bound: f64,
}

/// Settings of [`CwLinf`]. linf only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1, in each search.
    pub steps: usize,
    /// Adam's, > 0.
    pub step_size: f64,
    /// The first constant, > 0.
    pub first_constant: f64,
    /// The search is given up from here on, > 0.
    pub largest_constant: f64,
    /// > 1.
    pub constant_factor: f64,
    /// Between 0 and 1.
    pub bound_factor: f64,
    /// In pixels, > 0.
    pub smallest_bound: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "Carlini and Wagner's linf attack with its shrinking bound";
    const EXAMPLE: Self = usual(1000, 1e-5, 2.0);
    const BRIEF: Self = usual(10, 1e-2, 20.0);
    const LOSS: Loss = Loss::Margin;
    const BORDER: bool = true;
    const NORMS: &'static [Norm] = &[Norm::Linf];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        only(check, norm, Norm::Linf)?;
        Ok(Box::new(CwLinf {
            step_size: check.positive("step_size", self.step_size)?,
            steps: check.steps("steps", self.steps)?,
            first_constant: check.positive("first_constant", self.first_constant)?,
            largest_constant: check.positive("largest_constant", self.largest_constant)?,
            constant_factor: check.above_one("constant_factor", self.constant_factor)?,
            bound_factor: check.rate("bound_factor", self.bound_factor)?,
            smallest_bound: check.positive("smallest_bound", self.smallest_bound)?,
        }))
    }
}

const fn usual(steps: usize, first_constant: f64, constant_factor: f64) -> Settings {
    Settings {
        steps,
        step_size: 0.01,
        first_constant,
        largest_constant: 20.0,
        constant_factor,
        bound_factor: 0.9,
        smallest_bound: 1.0 / 255.0,
    }
}

/// Loss over constant below which a search has nothing more to lower.
const SETTLED: f64 = 1e-4;

impl MinimalAttack for CwLinf {
    fn norm(&self) -> Norm {
        Norm::Linf
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
            variable: TanhBox::new(departure.nearest.clean()),
            constant: self.first_constant,
            bound: 1.0,
            best: 1.0,
            step: 0,
            succeeded: false,
            nearest: departure.nearest,
        };
        approach(("cw-linf", Follows::Signed), Norm::Linf, target, objectives, batch, seed, enough, depart)
    }
}

struct Run {
    settings: CwLinf,
    variable: TanhBox,
    constant: f64,
    bound: f64,
    /// Smallest adversarial distance of this run.
    best: f64,
    /// Looks of this search.
    step: usize,
    /// Whether this search has come nearer than all before.
    succeeded: bool,
    nearest: Nearest,
}

impl Run {
    fn next_search(&mut self) {
        if self.succeeded {
            self.bound = self.settings.bound_factor * self.bound.min(self.best);
        } else {
            self.constant *= self.settings.constant_factor;
        }
        self.variable.forget();
        (self.step, self.succeeded) = (0, false);
    }
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let CwLinf { largest_constant, smallest_bound, .. } = self.settings;
        let open = self.bound > smallest_bound && self.constant < largest_constant;
        (open && !self.nearest.is_enough()).then_some(self.variable.image())
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        let image = self.variable.image().to_vec();
        let distance = self.nearest.offer(&image, seen.verdict);
        if seen.verdict.misclassified && distance < self.best {
            self.best = distance;
            self.succeeded = true;
        }
        let clean = self.nearest.clean();
        let bound = self.bound;
        let change = |at: usize| f64::from(image[at]) - f64::from(clean[at]);
        let beyond: f64 = (0..image.len()).map(|at| (change(at).abs() - bound).max(0.0)).sum();
        let hinge = (-f64::from(seen.value)).max(0.0);
        self.step += 1;
        if beyond + self.constant * hinge < SETTLED * self.constant || self.step == self.settings.steps {
            self.next_search();
            return;
        }
        let pull = if hinge > 0.0 { self.constant } else { 0.0 };
        self.variable.descend(self.settings.step_size, |at| {
            let change = change(at);
            let push = if change.abs() > bound { change.signum() } else { 0.0 };
            push - pull * f64::from(seen.gradient[at])
        });
    }
}

impl Approach for Run {
    fn nearest(self) -> Nearest {
        self.nearest
    }
}
