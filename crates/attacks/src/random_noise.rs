//! Random perturbations without gradients.

use robin_core::{
    Adversarial, Attack, Batch, Budget, Columns, Norm, Objective, Purpose, Result, Seed, Target,
};
use serde::{Deserialize, Serialize};

use crate::Loss;
use crate::images::Images;
use crate::joined::{Joined, Proposal};
use crate::settings::{self, Check};
use crate::start::{at_corner, in_ball, on_sphere};

/// Random perturbations: an example is misclassified if any candidate is. A gradient attack that finds less than
/// this does not work.
///
/// linf: candidates are uniform in the ball and random corners of it, in turn; l2: uniform on the sphere; all
/// clipped to the box. Objectives are not looked at. There is no path, so `last` is `worst`: the first misclassified
/// candidate, otherwise the first candidate.
#[derive(Debug, Clone, Copy)]
pub struct RandomNoise {
    /// What no candidate exceeds.
    pub budget: Budget,
    /// Draws per example, at least 1.
    pub candidates: usize,
}

/// Settings of [`RandomNoise`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Draws per example, at least 1.
    pub candidates: usize,
}

impl settings::Settings for Settings {
    const SUMMARY: &'static str =
        "random perturbations, no gradients: the baseline that every attack must beat";
    const EXAMPLE: Self = Settings { candidates: 10 };
    const BRIEF: Self = Settings { candidates: 10 };
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        Ok(Box::new(RandomNoise { budget, candidates: check.steps("candidates", self.candidates)? }))
    }
}

impl Attack for RandomNoise {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn perturb(
        &self,
        target: &Target<'_>,
        _objectives: &[Box<dyn Objective>],
        batch: &Batch,
        seed: Seed,
    ) -> Result<Adversarial> {
        batch.validate(target.model.num_classes())?;
        let judging = target.model.networks(&Columns::All);
        let mut joined = Joined::new(batch)?;
        for candidate in 0..self.candidates.max(1) {
            target.cancel.check()?;
            let rows = joined.open_rows();
            if rows.is_empty() {
                break;
            }
            let open = batch.select(&rows)?;
            let images = self.draw(&open, seed, candidate)?;
            let verdicts = target.verdicts(&images.tensor()?, &open.labels)?;
            for (at, (&row, verdict)) in rows.iter().zip(verdicts).enumerate() {
                joined.cost_mut(row).forward += judging;
                let proposal = Proposal { image: images.row(at), verdict, value: 0.0 };
                joined.offer(row, &proposal, &proposal);
            }
        }
        joined.finish()
    }
}

impl RandomNoise {
    fn draw(&self, batch: &Batch, seed: Seed, candidate: usize) -> Result<Images> {
        let draw = match self.budget.norm {
            Norm::L2 => on_sphere,
            Norm::Linf if candidate.is_multiple_of(2) => in_ball,
            Norm::Linf => at_corner,
        };
        let seed = seed.derive(Purpose::Noise, candidate as u64);
        let mut images = Images::new(&batch.images)?;
        images.redraw(&batch.ids, |id, clean, image| draw(self.budget, &mut seed.stream(id), clean, image));
        Ok(images)
    }
}
