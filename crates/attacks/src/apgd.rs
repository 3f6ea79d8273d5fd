//! Auto-PGD.

use robin_core::attack::Verdict;
use robin_core::{Adversarial, Attack, Batch, Budget, Norm, Objective, Purpose, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::joined::Proposal;
use crate::search::{Beginning, Climb, Look, Search, Seen, climb};
use crate::settings::{self, Check};
use crate::start::on_border;
use crate::step::step_image;

/// Projected gradient ascent with momentum that chooses its own step size (Croce & Hein 2020, algorithm 1;
/// constants of the authors' program). Its first step size is twice epsilon. At checkpoints that come closer
/// and closer, an example whose objective rose in too few steps, or not at all since the last checkpoint though
/// its step size was kept, goes back to its best point with half the step size.
///
/// The start is random on the border of the ball. The judge sees every point, and the first misclassified one ends
/// the run: it is `worst` and `last` then. The objective decides which attack of the family this is: `apgd-ce`
/// with `ce`, `apgd-dlr` with `dlr`, `apgd-t` with `dlr-t:9`.
///
/// Differs from the authors' program in the first checkpoint, whose first step is compared with the start
/// there by chance only (an index of -1), and in an exactly zero gradient, which makes no step in l2 here.
#[derive(Debug, Clone, Copy)]
pub struct Apgd {
    /// What no point exceeds.
    pub budget: Budget,
    /// Number of steps, at least 1.
    pub steps: usize,
    /// Number of runs, at least 1; run number r starts at address r.
    pub restarts: usize,
    /// Share of steps that must have raised the objective for the step size to be kept.
    pub rising_share: f64,
    /// Weight of the new step against the last movement.
    pub momentum: f64,
}

/// Settings of [`Apgd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// At least 1; 1 means a single run.
    pub restarts: usize,
    /// Share of steps that must have raised the objective for the step size to be kept, in `[0, 1]`.
    pub rising_share: f64,
    /// Weight of the new step against the last movement, in `(0, 1]`.
    pub momentum: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str =
        "projected ascent with momentum that halves its own step size; with dlr-t:9 the strongest alone";
    const EXAMPLE: Self = usual(100);
    const BRIEF: Self = usual(15);
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        Ok(Box::new(Apgd {
            budget,
            steps: check.steps("steps", self.steps)?,
            restarts: check.runs("restarts", self.restarts)?,
            rising_share: check.share("rising_share", self.rising_share)?,
            momentum: check.positive_share("momentum", self.momentum)?,
        }))
    }
}

/// As AutoAttack runs it, with so many steps.
pub(crate) const fn usual(steps: usize) -> Settings {
    Settings { steps, restarts: 1, rising_share: 0.75, momentum: 0.75 }
}

impl Attack for Apgd {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn perturb(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
    ) -> Result<Adversarial> {
        climb("apgd", self.restarts, Look::Directions, target, objectives, batch, |beginning| {
            self.begin(beginning, seed)
        })
    }
}

impl Apgd {
    fn begin(&self, beginning: &Beginning<'_>, seed: Seed) -> Run {
        let mut image = beginning.clean.to_vec();
        let seed = seed.derive(Purpose::AttackStart, beginning.restart as u64);
        on_border(self.budget, &mut seed.stream(beginning.id), beginning.clean, &mut image);
        Run {
            settings: *self,
            clean: beginning.clean.to_vec(),
            before: image.clone(),
            best: Point { image: image.clone(), gradient: Vec::new(), value: 0.0, verdict: None },
            last: None,
            image,
            step: 0,
            step_size: 2.0 * self.budget.epsilon.get(),
            pace: Pace::new(self.steps),
            misclassified: false,
        }
    }
}

struct Run {
    settings: Apgd,
    clean: Vec<f32>,
    image: Vec<f32>,
    /// Where the last step came from.
    before: Vec<f32>,
    best: Point,
    /// Value and ruling at `image`.
    last: Option<(f32, Verdict)>,
    /// Steps made.
    step: usize,
    step_size: f64,
    pace: Pace,
    misclassified: bool,
}

#[derive(Clone)]
struct Point {
    image: Vec<f32>,
    gradient: Vec<f32>,
    value: f32,
    verdict: Option<Verdict>,
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let seen_all = self.last.is_some() && self.step == self.settings.steps;
        (!self.misclassified && !seen_all).then_some(&self.image)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        let first = self.last.is_none();
        let rose = self.last.is_some_and(|(before, _)| seen.value > before);
        self.last = Some((seen.value, seen.verdict));
        if seen.verdict.misclassified {
            self.misclassified = true;
            return;
        }
        if first || seen.value > self.best.value {
            self.best = Point {
                image: self.image.clone(),
                gradient: seen.gradient.to_vec(),
                value: seen.value,
                verdict: Some(seen.verdict),
            };
        }
        if self.step == self.settings.steps {
            return;
        }
        let mut gradient = seen.gradient;
        let retreat = if first {
            self.pace.begin(self.best.value);
            false
        } else {
            self.pace.halves(rose, self.best.value, self.settings.rising_share)
        };
        // As in the authors' program the momentum is then that of the jump back.
        let best = self.best.clone();
        let came_from = std::mem::replace(&mut self.before, self.image.clone());
        if retreat {
            self.step_size /= 2.0;
            self.image.copy_from_slice(&best.image);
            self.before.copy_from_slice(&best.image);
            gradient = &best.gradient;
        }
        self.advance(gradient, &came_from);
    }
}

impl Run {
    /// One step with momentum from `self.image`, which was reached from `came_from`.
    fn advance(&mut self, gradient: &[f32], came_from: &[f32]) {
        let budget = self.settings.budget;
        let momentum = if self.step > 0 { self.settings.momentum as f32 } else { 1.0 };
        let mut next = self.image.clone();
        step_image(budget, self.step_size, &self.clean, gradient, &mut next);
        for ((next, &now), &from) in next.iter_mut().zip(&self.image).zip(came_from) {
            *next = now + (*next - now) * momentum + (now - from) * (1.0 - momentum);
        }
        budget.project_image(&self.clean, &mut next);
        self.image = next;
        self.step += 1;
    }
}

impl Climb for Run {
    fn worst(&self) -> Proposal<'_> {
        match (self.misclassified, self.best.verdict) {
            (false, Some(verdict)) => Proposal { image: &self.best.image, verdict, value: self.best.value },
            _ => self.last(),
        }
    }

    fn last(&self) -> Proposal<'_> {
        let (value, verdict) = self.last.expect("a run looks at its start at least");
        Proposal { image: &self.image, verdict, value }
    }
}

/// When the step size is looked at, and whether it is halved.
#[derive(Debug, Clone)]
struct Pace {
    /// Steps between the last checkpoint and the next.
    interval: usize,
    shrink: usize,
    shortest: usize,
    /// Steps since the last checkpoint, and how many of them rose.
    steps: usize,
    rises: usize,
    /// Highest objective at the last checkpoint, and whether the step size was halved there.
    best: f32,
    halved: bool,
}

impl Pace {
    /// Checkpoints after 22% of the steps, then after intervals that are each 3% shorter, but 6% at least.
    fn new(steps: usize) -> Self {
        let share = |share: f64| ((share * steps as f64) as usize).max(1);
        Self {
            interval: share(0.22),
            shrink: share(0.03),
            shortest: share(0.06),
            steps: 0,
            rises: 0,
            best: 0.0,
            halved: true,
        }
    }

    fn begin(&mut self, value: f32) {
        self.best = value;
    }

    /// Counts a step; at a checkpoint, whether to halve the step size.
    fn halves(&mut self, rose: bool, best: f32, rising_share: f64) -> bool {
        self.steps += 1;
        self.rises += usize::from(rose);
        if self.steps < self.interval {
            return false;
        }
        let rises = self.rises as f64;
        let stuck = !self.halved && self.best >= best;
        let halve = rises <= rising_share * self.interval as f64 || stuck;
        (self.halved, self.best) = (halve, best);
        self.interval = self.interval.saturating_sub(self.shrink).max(self.shortest);
        (self.steps, self.rises) = (0, 0);
        halve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_those_of_the_paper() {
        let mut pace = Pace::new(100);
        pace.begin(0.0);
        let mut at = Vec::new();
        for step in 1..=100 {
            // Rises always: never halved, so every checkpoint shows by its interval.
            let before = pace.interval;
            assert!(!pace.halves(true, step as f32, 0.75));
            if pace.steps == 0 {
                at.push((step, before));
            }
        }
        let steps: Vec<usize> = at.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [22, 41, 57, 70, 80, 87, 93, 99]);
    }

    #[test]
    fn the_step_size_is_halved_for_too_few_rises_and_for_a_best_that_stands_still() {
        let run = |rises: usize, bests: [f32; 2]| {
            let mut pace = Pace::new(100);
            pace.begin(0.0);
            let first: Vec<bool> = (0..22).map(|step| pace.halves(step < rises, bests[0], 0.75)).collect();
            let second: Vec<bool> = (0..19).map(|_| pace.halves(true, bests[1], 0.75)).collect();
            (first[21], second[18])
        };
        assert_eq!(run(16, [1.0, 2.0]), (true, false));
        assert_eq!(run(17, [1.0, 2.0]), (false, false));
        assert_eq!(run(17, [1.0, 1.0]), (false, true));
        assert_eq!(run(16, [1.0, 1.0]), (true, false));
    }
}
