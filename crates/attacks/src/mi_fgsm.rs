//! The momentum iterative fast gradient sign method.

use robin_core::attack::Verdict;
use robin_core::{Adversarial, Attack, Batch, Budget, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::joined::Proposal;
use crate::search::{Beginning, Climb, Look, Search, Seen, climb};
use crate::settings::{self, Check, StepSize};
use crate::step::step_image;

/// Steps along a sum of gradients, each divided by its mean size, that forgets (Dong et al. 2018, algorithm 1 and equation
/// 6; theirs divides by the l1 norm, which is the mean size times a number that no step depends on). Made for images that
/// mislead other networks than the one that is attacked: what it forgets slowly are the directions that gradients share.
///
/// It begins at the clean image and draws nothing at random. The judge sees every point, and the first misclassified one ends
/// the run; `last` is the final point, which is what the authors' program returns where none is.
#[derive(Debug, Clone, Copy)]
pub struct MiFgsm {
    /// What no point exceeds.
    pub budget: Budget,
    /// Number of steps, at least 1.
    pub steps: usize,
    /// Length of a step in pixels, measured in the budget's norm.
    pub step_size: f64,
    /// What is left of the sum at each step: 1 forgets nothing, 0 is the iterative method.
    pub decay: f64,
}

/// Settings of [`MiFgsm`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub steps: usize,
    /// Length of a step.
    pub step_size: StepSize,
    /// In `[0, 1]`.
    pub decay: f64,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str =
        "steps along a sum of gradients that forgets: images that mislead other networks too";
    const EXAMPLE: Self = Self { steps: 10, step_size: StepSize::Relative(1.0), decay: 1.0 };
    const BRIEF: Self = Self::EXAMPLE;
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        let steps = check.steps("steps", self.steps)?;
        let step_size = self.step_size.pixels(budget.epsilon, steps)?;
        Ok(Box::new(MiFgsm { budget, steps, step_size, decay: check.share("decay", self.decay)? }))
    }
}

impl Attack for MiFgsm {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn perturb(
        &self,
        target: &Target<'_>,
        objectives: &[Box<dyn Objective>],
        batch: &Batch,
        _seed: Seed,
    ) -> Result<Adversarial> {
        climb("mi-fgsm", 1, Look::Directions, target, objectives, batch, |beginning| self.begin(beginning))
    }
}

impl MiFgsm {
    fn begin(&self, beginning: &Beginning<'_>) -> Run {
        let clean = beginning.clean.to_vec();
        let sum = vec![0.0; clean.len()];
        Run { settings: *self, image: clean.clone(), clean, sum, step: 0, best: None, last: None }
    }
}

struct Run {
    settings: MiFgsm,
    clean: Vec<f32>,
    image: Vec<f32>,
    /// Of gradients.
    sum: Vec<f32>,
    /// Steps made.
    step: usize,
    /// The highest objective so far.
    best: Option<(Vec<f32>, f32, Verdict)>,
    /// Value and verdict at `image`, once it was looked at.
    last: Option<(f32, Verdict)>,
}

impl Run {
    /// Adds `gradient` to what is left of the sum, and steps along it.
    fn advance(&mut self, gradient: &[f32]) {
        let MiFgsm { budget, step_size, decay, .. } = self.settings;
        // In f64, where the sum of many small sizes leaves no range.
        let size = gradient.iter().map(|&g| f64::from(g.abs())).sum::<f64>() / gradient.len() as f64;
        let scale = if size > 0.0 { 1.0 / size } else { 0.0 };
        for (sum, &g) in self.sum.iter_mut().zip(gradient) {
            *sum = (decay * f64::from(*sum) + scale * f64::from(g)) as f32;
        }
        step_image(budget, step_size, &self.clean, &self.sum, &mut self.image);
        self.step += 1;
    }
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let misclassified = self.last.is_some_and(|(_, verdict)| verdict.misclassified);
        let seen_all = self.last.is_some() && self.step == self.settings.steps;
        (!misclassified && !seen_all).then_some(&self.image)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        if self.best.as_ref().is_none_or(|(_, value, _)| seen.value > *value) || seen.verdict.misclassified {
            self.best = Some((self.image.clone(), seen.value, seen.verdict));
        }
        let done = seen.verdict.misclassified || self.step == self.settings.steps;
        self.last = Some((seen.value, seen.verdict));
        if !done {
            self.advance(seen.gradient);
            // The point that it came to has not been looked at.
            self.last = None;
        }
    }
}

impl Climb for Run {
    fn worst(&self) -> Proposal<'_> {
        let (image, value, verdict) = self.best.as_ref().expect("a run looks at its start at least");
        Proposal { image, verdict: *verdict, value: *value }
    }

    fn last(&self) -> Proposal<'_> {
        let (value, verdict) = self.last.expect("a run ends at a point that it has looked at");
        Proposal { image: &self.image, verdict, value }
    }
}

#[cfg(test)]
mod tests {
    use robin_core::ExampleId;

    use super::*;

    /// The third gradient points back, and is outvoted by what is left of the first two.
    #[test]
    fn the_sum_forgets_and_decides_the_step() {
        let clean = [0.5_f32; 2];
        let budget = |norm| Budget { norm, epsilon: "0.5".parse().unwrap() };
        let run = |norm, decay| {
            let attack = MiFgsm { budget: budget(norm), steps: 3, step_size: 0.0625, decay };
            let beginning =
                Beginning { clean: &clean, shape: [1, 1, 2], id: ExampleId::first(0), restart: 0 };
            let mut run = attack.begin(&beginning);
            // Of mean sizes 2, 4 and 1: without them the second would count twice as much as the first.
            for gradient in [[3.0, 1.0], [6.0, -2.0], [-1.0, 1.0]] {
                run.advance(&gradient);
            }
            (run.sum, run.image)
        };
        let (sum, image) = run(Norm::Linf, 0.5);
        // 1.5 / 4 + 1.5 / 2 - 1, and 0.5 / 4 - 0.5 / 2 + 1.
        assert_eq!((sum, image), (vec![0.125, 0.875], vec![0.6875, 0.5625]));
        let (_, forgetful) = run(Norm::Linf, 0.0);
        assert_eq!(forgetful, [0.5625, 0.5625], "without a sum the last gradient decides the last step");
        let (_, image) = run(Norm::L2, 1.0);
        let unit = |[x, y]: [f32; 2]| [x / x.hypot(y), y / x.hypot(y)];
        let steps = [unit([1.5, 0.5]), unit([3.0, 0.0]), unit([2.0, 1.0])];
        for at in 0..2 {
            let expected = 0.5 + 0.0625 * steps.iter().map(|step| step[at]).sum::<f32>();
            approx::assert_abs_diff_eq!(image[at], expected, epsilon = 1e-6);
        }
    }
}
