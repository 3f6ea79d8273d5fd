//! Attacks that could not see where to go: an exactly zero gradient makes no step.

use std::fmt;

use robin_attacks::Loss;
use serde::Serialize;

use crate::{CostTotals, Explained};

/// For those who ask what the warning means.
pub const EXPLAINED: Explained = Explained {
    name: "attack-blind",
    means: "5% or more of the input gradients that an attack took were exactly zero. It made no step there, and what it \
            leaves correct is not robust by its word.",
    todo: "Attack with loss margin or dlr, which do not vanish where cross-entropy does; if those vanish too, with \
           square, which needs no gradient. Believe the union only.",
};

/// From this share of zero gradients on an attack's result is warned of.
const ALLOWED: f64 = 0.05;

/// Too many of an attack's input gradients were exactly zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Blind {
    /// Input gradients that were exactly zero.
    pub zero_gradients: u64,
    /// All of them.
    pub gradients: u64,
    /// What was maximised.
    pub loss: Loss,
}

/// Whether an attack that cost this, maximising `loss`, has to be warned of.
pub fn blind(cost: &CostTotals, loss: Loss) -> Option<Blind> {
    let &CostTotals { zero_gradients, gradients, .. } = cost;
    (cost.zero_gradient_share() >= ALLOWED).then_some(Blind { zero_gradients, gradients, loss })
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { zero_gradients, gradients, loss } = self;
        write!(
            f,
            "{zero_gradients} of {gradients} input gradients ({:.1}%) are exactly zero: there the attack was blind, and what \
             it leaves correct is not robust by its word; ",
            100.0 * *zero_gradients as f64 / (*gradients).max(1) as f64
        )?;
        match loss {
            Loss::Ce => f.write_str("try loss margin or dlr, which do not vanish where cross-entropy does"),
            _ => write!(
                f,
                "losses margin and dlr do not vanish as cross-entropy does, and {loss} is one of them, so the scores \
                 themselves stand still: try attack square, which needs no gradient"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_five_percent_on_it_is_said_what_to_try() {
        let cost = |zero_gradients| CostTotals { gradients: 100, zero_gradients, ..CostTotals::default() };
        assert_eq!(blind(&cost(4), Loss::Ce), None);
        assert_eq!(blind(&CostTotals::default(), Loss::Ce), None, "no gradients, no share");
        for loss in [Loss::Ce, Loss::Margin, Loss::DlrT(9)] {
            let message = blind(&cost(5), loss).unwrap().to_string();
            let parts = ["5 of 100", "5.0%", "margin", "dlr"];
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
            assert_eq!(message.contains("square"), loss != Loss::Ce, "{message}");
        }
    }
}
