//! Carlini and Wagner's l2 attack.

use robin_core::{Batch, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::minimal::{Approach, Departure, Follows, MinimalAttack, Nearest, Smallest, approach};
use crate::search::{Search, Seen};
use crate::settings::{self, Check, only};
use crate::tanh_box::TanhBox;

/// Lowers `|x - clean|^2 + constant * max(0, confidence - objective)` by Adam on the arguments of a tanh, and
/// searches the constant (Carlini & Wagner 2017, section VI.A; as in the authors' program and adv-lib 0.2.8):
/// halfway between the highest that failed and the lowest that succeeded, ten times as large while none has.
///
/// Every example has its own constant and stops by its own: a search ends early when, looked at ten times, the
/// loss has not fallen by a ten-thousandth. The objective masks the right score by -infinity ([`Margin`] does),
/// so scores that are all negative mean nothing, and pixels at 0 and 1 can move.
///
/// [`Margin`]: crate::objectives::Margin
#[derive(Debug, Clone, Copy)]
pub struct Cw {
    /// Adam's step size, on the tanh's arguments.
    pub step_size: f64,
    /// Looks at the model in each search, at least 1.
    pub steps: usize,
    /// Constants tried; from 10 on the last one repeats the lowest that succeeded.
    pub searches: usize,
    /// The first constant.
    pub first_constant: f64,
    /// The objective must reach this for an image to count as adversarial.
    pub confidence: f64,
}

/// Settings of [`Cw`]. l2 only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1, in each search.
    pub steps: usize,
    /// At least 1.
    pub searches: usize,
    /// Adam's, > 0.
    pub step_size: f64,
    /// The first constant, > 0.
    pub first_constant: f64,
    /// At least 0.
    pub confidence: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "Carlini and Wagner's l2 attack with its search over the constant";
    const EXAMPLE: Self = usual(1000, 9);
    const BRIEF: Self = usual(20, 3);
    const LOSS: Loss = Loss::Margin;
    const BORDER: bool = true;
    const NORMS: &'static [Norm] = &[Norm::L2];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        only(check, norm, Norm::L2)?;
        Ok(Box::new(Cw {
            step_size: check.positive("step_size", self.step_size)?,
            steps: check.steps("steps", self.steps)?,
            searches: check.runs("searches", self.searches)?,
            first_constant: check.positive("first_constant", self.first_constant)?,
            confidence: check.not_negative("confidence", self.confidence)?,
        }))
    }
}

const fn usual(steps: usize, searches: usize) -> Settings {
    Settings { steps, searches, step_size: 0.01, first_constant: 1e-3, confidence: 0.0 }
}

/// [`Cw`] with one constant and no search, as some published tables have it: far weaker than the attack
/// of its name, and never to be reported without saying so. l2 only.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperSettings {
    /// At least 1.
    pub steps: usize,
    /// Adam's, > 0.
    pub step_size: f64,
    /// > 0.
    pub constant: f64,
}

impl settings::Settings for PaperSettings {
    const SUMMARY: &'static str =
        "Carlini and Wagner's l2 attack without its search: weak, to compare with tables that used it";
    const EXAMPLE: Self = of_paper(50);
    const BRIEF: Self = of_paper(20);
    const LOSS: Loss = Loss::Margin;
    const BORDER: bool = true;
    const NORMS: &'static [Norm] = &[Norm::L2];

    fn minimal(&self, check: &Check, norm: Norm) -> crate::Result<Box<dyn MinimalAttack>> {
        only(check, norm, Norm::L2)?;
        Ok(Box::new(Cw {
            step_size: check.positive("step_size", self.step_size)?,
            steps: check.steps("steps", self.steps)?,
            searches: 1,
            first_constant: check.positive("constant", self.constant)?,
            confidence: 0.0,
        }))
    }
}

const fn of_paper(steps: usize) -> PaperSettings {
    PaperSettings { steps, step_size: 0.01, constant: 1.0 }
}

/// A constant above this is taken as unbounded, and multiplied.
const UNBOUNDED: f64 = 1e10;
const BOUNDED_BELOW: f64 = 1e9;
/// Loss over loss at the last check above which a search ends.
const STALLED: f64 = 0.9999;

impl MinimalAttack for Cw {
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
        let depart = |departure: Departure| Run {
            settings: *self,
            variable: TanhBox::new(departure.nearest.clean()),
            constant: self.first_constant,
            lower: 0.0,
            upper: UNBOUNDED,
            search: 0,
            step: 0,
            succeeded: false,
            checked: f64::INFINITY,
            nearest: departure.nearest,
        };
        approach(("cw", Follows::Signed), Norm::L2, target, objectives, batch, seed, enough, depart)
    }
}

struct Run {
    settings: Cw,
    variable: TanhBox,
    constant: f64,
    lower: f64,
    upper: f64,
    search: usize,
    /// Looks of this search.
    step: usize,
    /// Whether this constant has led to an adversarial image.
    succeeded: bool,
    /// Loss at the last check.
    checked: f64,
    nearest: Nearest,
}

impl Run {
    fn next_search(&mut self) {
        if self.succeeded {
            self.upper = self.upper.min(self.constant);
        } else {
            self.lower = self.lower.max(self.constant);
        }
        if self.upper < BOUNDED_BELOW {
            self.constant = (self.lower + self.upper) / 2.0;
        } else if !self.succeeded {
            self.constant *= 10.0;
        }
        self.search += 1;
        if self.settings.searches >= 10 && self.search == self.settings.searches - 1 {
            self.constant = self.upper;
        }
        self.variable.restart();
        (self.step, self.succeeded, self.checked) = (0, false, f64::INFINITY);
    }
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let open = self.search < self.settings.searches && !self.nearest.is_enough();
        open.then_some(self.variable.image())
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        let Cw { step_size, steps, confidence, .. } = self.settings;
        let value = f64::from(seen.value);
        let image = self.variable.image();
        let mut distance = Norm::L2.distance(self.nearest.clean(), image);
        if seen.verdict.misclassified && (confidence <= 0.0 || value >= confidence) {
            distance = self.nearest.offer(image, seen.verdict);
            self.succeeded = true;
        }
        let hinge = confidence - value;
        let loss = distance * distance + self.constant * hinge.max(0.0);
        let stalled = self.step.is_multiple_of((steps / 10).max(1)) && {
            let stalled = loss > STALLED * self.checked;
            self.checked = loss;
            stalled
        };
        self.step += 1;
        if stalled || self.step == steps {
            self.next_search();
            return;
        }
        let pull = if hinge > 0.0 { self.constant } else { 0.0 };
        let (now, clean) = (image.to_vec(), self.nearest.clean());
        self.variable.descend(step_size, |at| {
            2.0 * (f64::from(now[at]) - f64::from(clean[at])) - pull * f64::from(seen.gradient[at])
        });
    }
}

impl Approach for Run {
    fn nearest(self) -> Nearest {
        self.nearest
    }
}
