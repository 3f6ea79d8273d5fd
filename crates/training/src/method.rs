//! What a training lowers, and the attack that it trains against.

use robin_attacks::StepSize;
use robin_core::Budget;
use serde::{Deserialize, Serialize};

use crate::config::{check_steps, not_negative, refuse};
use crate::{Proportion, Result};

/// What the loss is computed on.
///
/// Standard and adversarial training run one forward pass on one batch. TRADES and MART run two, as the reference
/// projects do: batch norm normalises the clean and the perturbed images each with their own statistics, and the
/// running statistics move for the clean batch, then for the perturbed one. (Both reference projects differ in the
/// number of moves: TRADES' code runs the clean batch once more.)
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// Cross-entropy on clean images.
    Standard {},
    /// Cross-entropy on batches in which a growing share is perturbed (Madry et al. 2018, paper section 5).
    /// The training attack is PGD on the cross-entropy, uniform start, final point.
    PgdAt {
        /// The training budget.
        budget: Budget,
        /// Steps of the training attack.
        steps: usize,
        /// Length of a step.
        step_size: StepSize,
        /// Share of each batch that is perturbed.
        proportion: Proportion,
    },
    /// [`crate::losses::trades`] of every example. The training attack is PGD on the divergence, final point.
    Trades {
        /// The training budget.
        budget: Budget,
        /// Steps of the training attack.
        steps: usize,
        /// Length of a step. The reference project: 0.007 at linf 0.031 in 10 steps; `2 epsilon / steps` in l2.
        step_size: StepSize,
        /// Weight of the divergence; the paper has 1, the reference project 6 on CIFAR-10.
        lambda: f64,
        /// Where the training attack begins; the reference project: Gaussian, 0.001, in both norms.
        start: AttackStart,
    },
    /// [`crate::losses::mart`] of every example. The training attack is PGD on the cross-entropy, final point.
    /// In l2 too, where the reference project has no attack.
    Mart {
        /// The training budget.
        budget: Budget,
        /// Steps of the training attack.
        steps: usize,
        /// Length of a step. The reference project: 0.007 at linf 0.031 in 10 steps.
        step_size: StepSize,
        /// Weight of the divergence; the paper has 1, the reference project 5.
        lambda: f64,
        /// Where the training attack begins; the reference project: Gaussian, 0.001.
        start: AttackStart,
    },
}

/// Where the training attack of TRADES and MART begins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AttackStart {
    /// The clean image. No start for TRADES, whose objective has no gradient there.
    Clean {},
    /// Uniform in the ball, then clipped to the box.
    UniformInBall {},
    /// `deviation` times a standard normal number added to every pixel, then projected onto the budget (the
    /// reference projects do not project before the first step).
    Gaussian {
        /// Standard deviation in pixels, above 0 and at most 1.
        deviation: f64,
    },
}

/// Which statistics batch norm uses during a training attack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackMode {
    /// The running ones: an example's perturbation does not depend on its batch. What the reference projects have.
    #[default]
    Eval,
    /// The batch's own, with gradients through them; the running ones do not move. The attacked examples of a batch are one
    /// unit: a perturbation depends on the others'.
    Train,
}

impl Method {
    /// The budget that is trained for.
    pub fn budget(&self) -> Option<Budget> {
        match self {
            Method::Standard {} => None,
            Method::PgdAt { budget, .. } | Method::Trades { budget, .. } | Method::Mart { budget, .. } => {
                Some(*budget)
            }
        }
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for the first of them.
    pub fn validate(&self) -> Result<()> {
        let (budget, steps, step_size) = match self {
            Method::Standard {} => return Ok(()),
            Method::PgdAt { budget, steps, step_size, .. }
            | Method::Trades { budget, steps, step_size, .. }
            | Method::Mart { budget, steps, step_size, .. } => (budget, *steps, step_size),
        };
        check_steps("steps", steps)?;
        step_size.pixels(budget.epsilon, steps)?;
        let (lambda, start) = match self {
            Method::Trades { lambda, start, .. } | Method::Mart { lambda, start, .. } => (*lambda, *start),
            Method::Standard {} | Method::PgdAt { .. } => return Ok(()),
        };
        not_negative("lambda", lambda)?;
        match start {
            AttackStart::Gaussian { deviation } if !(deviation > 0.0 && deviation <= 1.0) => {
                refuse("deviation", deviation, "a number in (0, 1]")
            }
            AttackStart::Clean {} if matches!(self, Method::Trades { .. }) => {
                let allowed =
                    "gaussian or uniform-in-ball: TRADES' objective has no gradient at the clean image";
                refuse("start", "clean", allowed)
            }
            _ => Ok(()),
        }
    }

    /// Refuses TRADES from so near the clean image that a network which stores values `resolution` apart
    /// ([`robin_nn::Network::resolution`]) often scores both alike: its attack would have no gradient there, and never move.
    /// `tests/device_resident.rs` counts such images in bf16.
    ///
    /// # Errors
    /// [`crate::Error::Setting`].
    pub(crate) fn validate_at(&self, resolution: f64) -> Result<()> {
        match self {
            Method::Trades { start: AttackStart::Gaussian { deviation }, .. }
                if *deviation < 2.0 * resolution =>
            {
                let allowed = "in bf16 uniform-in-ball, or a deviation of 1/64 or more, as TRADES' objective has often no \
                               gradient nearer to the clean image; f32 and tf32 can do with less";
                refuse("start", format!("gaussian with deviation {deviation}"), allowed)
            }
            _ => Ok(()),
        }
    }
}
