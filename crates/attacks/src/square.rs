//! Square attack: random search without gradients.

use robin_core::attack::Verdict;
use robin_core::{
    Adversarial, Attack, Batch, Budget, Norm, Objective, Purpose, Result, Seed, Stream, Target,
};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::joined::Proposal;
use crate::search::{Beginning, Climb, Look, Search, Seen, climb, steps_seed};
use crate::settings::{self, Check};

mod proposals;

/// Changes a random square of the image and keeps the change if the objective rises (Andriushchenko et al. 2020,
/// algorithms 1 to 3; constants of AutoAttack's program, whose schedule is not stretched to the number of
/// queries). Asks for scores only. The first misclassified image ends the run.
///
/// linf: every pixel of a square goes to the same side of the ball, per channel; begins with vertical stripes.
/// l2: the perturbation's mass moves between two squares; begins with a grid of bumps.
#[derive(Debug, Clone, Copy)]
pub struct Square {
    /// What no image exceeds.
    pub budget: Budget,
    /// Changes tried in each run, beside the start.
    pub queries: usize,
    /// Number of runs, at least 1.
    pub restarts: usize,
    /// Share of the image that the first squares cover.
    pub first_share: f64,
    /// Where squares may lie.
    pub reach: Reach,
}

/// Settings of [`Square`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// At least 1.
    pub queries: usize,
    /// At least 1; 1 means a single run.
    pub restarts: usize,
    /// In `(0, 1]`.
    pub first_share: f64,
    /// Where squares may lie.
    pub reach: Reach,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "random squares, kept if they help: scores only, no gradients";
    const EXAMPLE: Self = usual(5000, Reach::Whole);
    const BRIEF: Self = usual(60, Reach::Whole);
    const LOSS: Loss = Loss::Margin;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        Ok(Box::new(Square {
            budget,
            queries: check.steps("queries", self.queries)?,
            restarts: check.runs("restarts", self.restarts)?,
            first_share: check.positive_share("first_share", self.first_share)?,
            reach: self.reach,
        }))
    }
}

/// As AutoAttack runs it, with so many queries.
pub(crate) const fn usual(queries: usize, reach: Reach) -> Settings {
    Settings { queries, restarts: 1, first_share: 0.8, reach }
}

/// Where squares may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// Anywhere.
    Whole,
    /// Anywhere but in the last row and column, unless they cover a whole side: AutoAttack's program. Weaker where an image's
    /// border counts, on small images above all.
    AllButLast,
}

impl Reach {
    /// Places of a square's beginning along a side of the image.
    fn places(self, length: usize, side: usize) -> u32 {
        match self {
            Self::Whole => (length - side + 1) as u32,
            Self::AllButLast => (length - side).max(1) as u32,
        }
    }
}

impl Attack for Square {
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
        climb("square", self.restarts, Look::Values, target, objectives, batch, |beginning| {
            self.begin(beginning, seed)
        })
    }
}

impl Square {
    fn begin(&self, beginning: &Beginning<'_>, seed: Seed) -> Run {
        let clean = beginning.clean.to_vec();
        let start = seed.derive(Purpose::AttackStart, beginning.restart as u64);
        let mut stream = start.stream(beginning.id);
        let canvas = proposals::Canvas { budget: self.budget, shape: beginning.shape, reach: self.reach };
        let mut trial = clean.clone();
        match self.budget.norm {
            Norm::Linf => canvas.stripes(&mut stream, &clean, &mut trial),
            Norm::L2 => canvas.bumps(&mut stream, &clean, &mut trial),
        }
        Run {
            settings: *self,
            canvas,
            clean,
            image: trial.clone(),
            trial,
            kept: None,
            query: 0,
            stream: steps_seed(seed, beginning.restart).stream(beginning.id),
        }
    }

    /// Share of the image that a square covers at this query.
    fn share(&self, query: usize) -> f64 {
        // Halved after each of these.
        const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];
        let halvings = HALVINGS.iter().filter(|&&after| query > after).count();
        self.first_share / f64::from(1 << halvings)
    }
}

struct Run {
    settings: Square,
    canvas: proposals::Canvas,
    clean: Vec<f32>,
    /// The best so far.
    image: Vec<f32>,
    /// What is asked for next.
    trial: Vec<f32>,
    /// Value and ruling of `image`, once known.
    kept: Option<(f32, Verdict)>,
    /// Looks so far, the start not counted.
    query: usize,
    stream: Stream,
}

impl Search for Run {
    fn point(&self) -> Option<&[f32]> {
        let Some((_, verdict)) = self.kept else { return Some(&self.trial) };
        (!verdict.misclassified && self.query < self.settings.queries).then_some(&self.trial)
    }

    fn observe(&mut self, seen: &Seen<'_>) {
        match self.kept {
            None => self.kept = Some((seen.value, seen.verdict)),
            Some((value, _)) => {
                self.query += 1;
                if seen.value > value || seen.verdict.misclassified {
                    self.image.copy_from_slice(&self.trial);
                    self.kept = Some((seen.value, seen.verdict));
                }
            }
        }
        if self.point().is_some() {
            self.trial.copy_from_slice(&self.image);
            let share = self.settings.share(self.query);
            self.canvas.propose(&mut self.stream, share, &self.clean, &mut self.trial);
        }
    }
}

impl Climb for Run {
    fn worst(&self) -> Proposal<'_> {
        let (value, verdict) = self.kept.expect("a run looks at its start at least");
        Proposal { image: &self.image, verdict, value }
    }

    fn last(&self) -> Proposal<'_> {
        self.worst()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn squares_reach_every_row_or_all_but_the_last() {
        assert_eq!([1, 5, 27, 28].map(|side| Reach::Whole.places(28, side)), [28, 24, 2, 1]);
        assert_eq!([1, 5, 27, 28].map(|side| Reach::AllButLast.places(28, side)), [27, 23, 1, 1]);
    }

    #[test]
    fn squares_shrink_by_the_schedule_of_the_authors() {
        let budget = Budget { norm: Norm::Linf, epsilon: "0.3".parse().unwrap() };
        let square = Square { budget, queries: 5000, restarts: 1, first_share: 0.8, reach: Reach::Whole };
        for (query, share) in
            [(0, 0.8), (10, 0.8), (11, 0.4), (51, 0.2), (201, 0.1), (501, 0.05), (4001, 0.8 / 128.0)]
        {
            assert_abs_diff_eq!(square.share(query), share, epsilon = 1e-15);
        }
    }
}
