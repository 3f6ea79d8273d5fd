//! Numbers from a ledger.

use robin_core::Budget;
use serde::Serialize;

use super::{Ledger, Run};
use crate::statistics::{Interval, accuracy, interval};
use crate::weak_cw::{self, WeakCw};
use crate::{Blind, CostTotals, Error, Result, blind};

/// Accuracies within one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Number of examples.
    pub n: usize,
    /// Share that is right without any attack.
    pub clean_accuracy: f64,
    /// Wilson's interval of it.
    pub clean_interval: Interval,
    /// Share that no run within the budget breaks: the worst case of each example, our headline.
    pub union: f64,
    /// Wilson's interval of it.
    pub union_interval: Interval,
    /// The lowest accuracy of one attack, as papers print it.
    pub paper: f64,
    /// Each attack over its restarts, in the order of their first runs.
    pub attacks: Vec<AttackSummary>,
    /// CW, where it is weaker than PGD ought to let it be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weak_cw: Option<WeakCw>,
}

/// One attack over its restarts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttackSummary {
    /// The runs' name.
    pub attack: String,
    /// Share of examples that no restart breaks.
    pub accuracy: f64,
    /// Wilson's interval of it.
    pub interval: Interval,
    /// Number of runs.
    pub restarts: usize,
    /// Whether it met only what attacks before it had failed on; the accuracy is then that of all of them.
    pub staged: bool,
    /// Mean size of the perturbations that broke an example, in pixels; `None` if none did.
    pub mean_size: Option<f64>,
    /// Work of all runs.
    pub cost: CostTotals,
    /// Share of input gradients that were exactly zero; `None` where the attack takes none.
    pub zero_gradient_share: Option<f64>,
    /// The warning that goes with it, if it is large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind: Option<Blind>,
}

impl Ledger {
    /// What the runs within `budget` (its norm, and at most its epsilon) say.
    ///
    /// # Errors
    /// [`Error::Empty`] without examples or without such a run.
    pub fn summary(&self, budget: Budget) -> Result<Summary> {
        let runs: Vec<&Run> = self.runs.iter().filter(|run| run.within(budget)).collect();
        let mut names: Vec<&str> = Vec::new();
        for run in &runs {
            if !names.contains(&run.attack.as_str()) {
                names.push(&run.attack);
            }
        }
        let attacks: Vec<AttackSummary> = names
            .into_iter()
            .map(|name| self.attack_summary(name, runs.iter().copied().filter(|run| run.attack == name)))
            .collect();
        let lowest =
            attacks.iter().map(|attack| attack.accuracy).min_by(f64::total_cmp).ok_or(Error::Empty)?;
        let union = self.misclassified(&runs);
        Ok(Summary {
            n: self.len(),
            clean_accuracy: self.clean.accuracy(),
            clean_interval: self.clean.interval(),
            union: accuracy(&union),
            union_interval: interval(&union),
            paper: lowest,
            attacks,
            weak_cw: weak_cw::among(&runs),
        })
    }

    /// What any run within `budget` breaks, or the clean image, `[n]`.
    pub fn union(&self, budget: Budget) -> Vec<bool> {
        self.misclassified(&self.runs.iter().filter(|run| run.within(budget)).collect::<Vec<_>>())
    }

    fn misclassified(&self, runs: &[&Run]) -> Vec<bool> {
        let any =
            |at: usize| self.clean.misclassified[at] || runs.iter().any(|run| run.outcome.misclassified[at]);
        (0..self.len()).map(any).collect()
    }

    fn attack_summary<'a>(&self, name: &str, runs: impl Iterator<Item = &'a Run>) -> AttackSummary {
        let runs: Vec<&Run> = runs.collect();
        let misclassified = self.misclassified(&runs);
        let mut cost = CostTotals::default();
        runs.iter().for_each(|run| cost.add(&run.cost()));
        let loss = runs.first().and_then(|run| run.loss.parse().ok());
        let smallest = |at: usize| {
            let successes = runs.iter().filter(|run| run.attacked[at] && run.outcome.misclassified[at]);
            successes.map(|run| f64::from(run.outcome.sizes[at])).min_by(f64::total_cmp)
        };
        let sizes: Vec<f64> = (0..self.len()).filter_map(smallest).collect();
        AttackSummary {
            attack: name.to_owned(),
            accuracy: accuracy(&misclassified),
            interval: interval(&misclassified),
            restarts: runs.len(),
            staged: runs.iter().any(|run| run.staged),
            mean_size: (!sizes.is_empty()).then(|| sizes.iter().sum::<f64>() / sizes.len() as f64),
            zero_gradient_share: (cost.gradients > 0).then(|| cost.zero_gradient_share()),
            blind: loss.and_then(|loss| blind(&cost, loss)),
            cost,
        }
    }
}
