//! CW beside PGD: an attack that searches for the nearest adversarial image must not lose to twenty plain steps; and where it
//! wins, twenty plain steps are not the robust accuracy.

use std::fmt;

use robin_attacks::Config;
use serde::{Deserialize, Serialize};

use crate::Explained;
use crate::ledger::Run;

/// For those who ask what the warning means.
pub const EXPLAINED: Explained = Explained {
    name: "cw-weak",
    means: "CW, which searches for the nearest adversarial image, breaks clearly fewer images than twenty plain steps of \
            PGD. That is the weakness of this CW and not the strength of the classifier.",
    todo: "Do not report CW's number as robust accuracy. Give it more steps or searches (--set), or report the union.",
};

/// How far CW's accuracy may lie above that of PGD with 20 steps, as a share: 1.5 points. More is the weakness of
/// an attack, not the strength of a classifier.
const ALLOWED: f64 = 0.015;

/// The steps of the PGD that CW is compared with.
const PGD_STEPS: usize = 20;

/// CW breaks fewer examples than PGD-20 does, by more than chance and the choice of start explain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeakCw {
    /// Accuracy under CW.
    pub cw: f64,
    /// Accuracy under PGD with 20 steps, on the same examples.
    pub pgd: f64,
}

impl fmt::Display for WeakCw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cw, pgd } = self;
        write!(
            f,
            "CW leaves {cw:.4} and PGD-20 only {pgd:.4} of the same examples: CW is weaker by {:.1} points (allowed: {:.1}), \
             so its number is no robust accuracy",
            100.0 * (cw - pgd),
            100.0 * ALLOWED
        )
    }
}

/// Whether CW, which leaves `cw_accuracy`, is weaker than PGD with 20 steps, which leaves `pgd_accuracy` of the
/// same examples on the same classifier, by more than 1.5 points. For everything that prints both.
pub fn cw_is_weak(cw_accuracy: f64, pgd_accuracy: f64) -> Option<WeakCw> {
    (cw_accuracy - pgd_accuracy > ALLOWED).then_some(WeakCw { cw: cw_accuracy, pgd: pgd_accuracy })
}

/// PGD with 20 steps breaks fewer examples than CW does, by more than chance and the choice of start explain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeakPgd {
    /// Accuracy under CW.
    pub cw: f64,
    /// Accuracy under PGD with 20 steps, on the same examples.
    pub pgd: f64,
}

impl fmt::Display for WeakPgd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cw, pgd } = self;
        write!(
            f,
            "PGD-20 leaves {pgd:.4} and CW only {cw:.4} of the same examples: PGD-20's number says too much, here by {:.1} points",
            100.0 * (pgd - cw)
        )
    }
}

/// Whether PGD with 20 steps, which leaves `pgd_accuracy`, is weaker than CW, which leaves `cw_accuracy` of the same
/// examples on the same classifier, by more than 1.5 points.
pub fn pgd_is_weak(cw_accuracy: f64, pgd_accuracy: f64) -> Option<WeakPgd> {
    (pgd_accuracy - cw_accuracy > ALLOWED).then_some(WeakPgd { cw: cw_accuracy, pgd: pgd_accuracy })
}

/// Whether these are settings of CW: in either norm, with or without its search.
pub(crate) fn is_cw(config: &Config) -> bool {
    matches!(config, Config::Cw(_) | Config::CwLinf(_) | Config::CwPaper(_))
}

/// Whether these are settings of the PGD that CW is compared with.
fn is_pgd(config: &Config) -> bool {
    matches!(config, Config::Pgd(robin_attacks::pgd::Settings { steps: PGD_STEPS, .. }))
}

/// The strongest CW of `runs` against the strongest PGD-20, if both are there. Runs on what others left standing
/// are no measure of an attack, and do not count.
pub(crate) fn among(runs: &[&Run]) -> Option<WeakCw> {
    let lowest = |of: fn(&Config) -> bool| {
        let runs = runs.iter().filter(|run| run.config.as_ref().is_some_and(of) && !run.staged);
        runs.map(|run| run.outcome.accuracy()).min_by(f64::total_cmp)
    };
    cw_is_weak(lowest(is_cw)?, lowest(is_pgd)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_and_a_half_is_allowed_and_more_is_said_with_both_numbers() {
        assert_eq!(cw_is_weak(0.5, 0.6), None);
        assert!(pgd_is_weak(0.6, 0.6149).is_none() && pgd_is_weak(0.6, 0.5).is_none());
        let text = pgd_is_weak(0.715, 0.805).unwrap().to_string();
        assert!(["0.7150", "0.8050", "9.0 points"].iter().all(|part| text.contains(part)), "{text}");
        assert_eq!(cw_is_weak(0.6149, 0.6), None);
        let found = cw_is_weak(0.7103, 0.636).unwrap();
        assert_eq!(found, WeakCw { cw: 0.7103, pgd: 0.636 });
        let text = found.to_string();
        assert!(
            ["0.7103", "0.6360", "7.4 points", "allowed: 1.5"].iter().all(|part| text.contains(part)),
            "{text}"
        );
    }
}
