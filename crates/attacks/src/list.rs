//! The list of base attacks; contract tests loop over it.

use crate::{Config, Start, StepSize};

/// One base attack.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name in specs.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// Settings to start from.
    pub example: Config,
}

/// Every base attack.
pub static ATTACKS: &[Entry] = &[
    Entry {
        name: "fgsm",
        summary: "one step of length epsilon from the clean image",
        example: Config::Fgsm {},
    },
    Entry {
        name: "pgd",
        summary: "steps of steepest ascent, each projected back onto the budget",
        example: Config::Pgd {
            steps: 10,
            restarts: 1,
            step_size: StepSize::STANDARD,
            start: Start::UniformInBall,
        },
    },
    Entry {
        name: "random-noise",
        summary: "random perturbations, no gradients: the baseline that every attack must beat",
        example: Config::RandomNoise { candidates: 10 },
    },
];
