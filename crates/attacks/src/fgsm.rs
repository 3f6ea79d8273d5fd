//! The fast gradient method: one full-size step.

use robin_core::{Adversarial, Attack, Batch, Budget, Norm, Objective, Result, Seed, Target};
use serde::{Deserialize, Serialize};

use crate::settings::{self, Check};
use crate::{Loss, Pgd, Start};

/// One step of length epsilon from the clean image (Goodfellow et al. 2015; paper 2.2): by the gradient's
/// sign for linf, along the gradient for l2. Draws nothing at random.
///
/// `last` is the published attack. `worst` also has the clean image among its candidates, which is never
/// misclassified, so both have the same verdicts when there is one objective.
#[derive(Debug, Clone, Copy)]
pub struct Fgsm {
    /// What the step may not exceed, and its length.
    pub budget: Budget,
}

/// Settings of [`Fgsm`], which has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

impl settings::Settings for Settings {
    const SUMMARY: &'static str = "one step of length epsilon from the clean image";
    const EXAMPLE: Self = Settings {};
    const BRIEF: Self = Settings {};
    const LOSS: Loss = Loss::Ce;
    const BORDER: bool = false;
    const NORMS: &'static [Norm] = &[Norm::L2, Norm::Linf];

    fn build(&self, _check: &Check, budget: Budget) -> crate::Result<Box<dyn Attack>> {
        Ok(Box::new(Fgsm { budget }))
    }
}

impl Fgsm {
    /// The same as one step of PGD.
    pub fn as_pgd(self) -> Pgd {
        let budget = self.budget;
        Pgd { budget, steps: 1, step_size: budget.epsilon.get(), restarts: 1, start: Start::Clean }
    }
}

impl Attack for Fgsm {
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
        self.as_pgd().perturb(target, objectives, batch, seed)
    }
}
