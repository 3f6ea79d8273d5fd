//! The list of base attacks; contract tests loop over it.

use robin_core::Norm;

use crate::{Config, Loss, Reach, Start, StepSize};

/// One base attack.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its name in specs.
    pub name: &'static str,
    /// One line on what it does.
    pub summary: &'static str,
    /// Settings to start from: those of its authors, where it has any.
    pub example: Config,
    /// The same at so little work that it can be run by the thousand: for tests, and of no other use.
    pub brief: Config,
    /// The loss that it maximises where nobody asks for another: its authors'.
    pub loss: Loss,
    /// Whether it aims at the border between classes, and so refuses a loss that is not 0 there
    /// ([`Loss::is_signed`]).
    pub border: bool,
    /// The norms that it exists in.
    pub norms: &'static [Norm],
}

const L2: &[Norm] = &[Norm::L2];
const LINF: &[Norm] = &[Norm::Linf];
const BOTH: &[Norm] = &[Norm::L2, Norm::Linf];

const PGD: Config =
    Config::Pgd { steps: 10, restarts: 1, step_size: StepSize::STANDARD, start: Start::UniformInBall };

const fn apgd(steps: usize) -> Config {
    Config::Apgd { steps, restarts: 1, rising_share: 0.75, momentum: 0.75 }
}

const fn cw(steps: usize, searches: usize) -> Config {
    Config::Cw { steps, searches, step_size: 0.01, first_constant: 1e-3, confidence: 0.0 }
}

const fn cw_linf(steps: usize, first_constant: f64, constant_factor: f64) -> Config {
    Config::CwLinf {
        steps,
        step_size: 0.01,
        first_constant,
        largest_constant: 20.0,
        constant_factor,
        bound_factor: 0.9,
        smallest_bound: 1.0 / 255.0,
    }
}

const fn cw_paper(steps: usize) -> Config {
    Config::CwPaper { steps, step_size: 0.01, constant: 1.0 }
}

const fn ddn(steps: usize) -> Config {
    Config::Ddn { steps, radius_rate: 0.05, first_radius: 1.0, levels: Some(256) }
}

const fn fmn(steps: usize) -> Config {
    Config::Fmn { steps, first_step: 1.0, last_step: 0.01, first_rate: 0.05, last_rate: 0.001 }
}

pub(crate) const fn fab(steps: usize) -> Config {
    Config::FabT { steps, largest_weight: 0.1, overshoot: 1.05, kept: 0.9 }
}

pub(crate) const fn square(queries: usize, reach: Reach) -> Config {
    Config::Square { queries, restarts: 1, first_share: 0.8, reach }
}

/// APGD as AutoAttack runs it.
pub(crate) const APGD: Config = apgd(100);

/// Every base attack.
pub static ATTACKS: &[Entry] = &[
    Entry {
        name: "fgsm",
        summary: "one step of length epsilon from the clean image",
        example: Config::Fgsm {},
        brief: Config::Fgsm {},
        loss: Loss::Ce,
        border: false,
        norms: BOTH,
    },
    Entry {
        name: "pgd",
        summary: "steps of steepest ascent, each projected back onto the budget",
        example: PGD,
        brief: PGD,
        loss: Loss::Ce,
        border: false,
        norms: BOTH,
    },
    Entry {
        name: "apgd",
        summary: "projected ascent with momentum that halves its own step size; with dlr-t:9 the strongest alone",
        example: APGD,
        brief: apgd(15),
        loss: Loss::Ce,
        border: false,
        norms: BOTH,
    },
    Entry {
        name: "fab-t",
        summary: "steps onto the boundary, taken as a plane, for the nearest adversarial image",
        example: fab(100),
        brief: fab(8),
        loss: Loss::MarginT(9),
        border: true,
        norms: BOTH,
    },
    Entry {
        name: "square",
        summary: "random squares, kept if they help: scores only, no gradients",
        example: square(5000, Reach::Whole),
        brief: square(60, Reach::Whole),
        loss: Loss::Margin,
        border: false,
        norms: BOTH,
    },
    Entry {
        name: "cw",
        summary: "Carlini and Wagner's l2 attack with its search over the constant",
        example: cw(1000, 9),
        brief: cw(20, 3),
        loss: Loss::Margin,
        border: true,
        norms: L2,
    },
    Entry {
        name: "cw-linf",
        summary: "Carlini and Wagner's linf attack with its shrinking bound",
        example: cw_linf(1000, 1e-5, 2.0),
        brief: cw_linf(10, 1e-2, 20.0),
        loss: Loss::Margin,
        border: true,
        norms: LINF,
    },
    Entry {
        name: "cw-paper",
        summary: "Carlini and Wagner's l2 attack without its search: weak, to compare with tables that used it",
        example: cw_paper(50),
        brief: cw_paper(20),
        loss: Loss::Margin,
        border: true,
        norms: L2,
    },
    Entry {
        name: "ddn",
        summary: "a sphere that shrinks and grows around the boundary: small perturbations at little cost",
        example: ddn(100),
        brief: ddn(15),
        loss: Loss::Ce,
        border: false,
        norms: L2,
    },
    Entry {
        name: "fmn",
        summary: "a ball that shrinks and grows around the boundary, in both norms",
        example: fmn(100),
        brief: fmn(15),
        loss: Loss::Margin,
        border: true,
        norms: BOTH,
    },
    Entry {
        name: "random-noise",
        summary: "random perturbations, no gradients: the baseline that every attack must beat",
        example: Config::RandomNoise { candidates: 10 },
        brief: Config::RandomNoise { candidates: 10 },
        loss: Loss::Ce,
        border: false,
        norms: BOTH,
    },
];
