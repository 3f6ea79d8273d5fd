//! Adding a run to the ledger.

use robin_attacks::Config;
use robin_core::{Adversarial, Attack, Iterate, Purpose, Strategy};
use serde::Serialize;

use super::{Ledger, Run};
use crate::robust::sizes;
use crate::{CostTotals, Error, Evaluation, Options, Outcome, Result, Witnesses};

/// An attack in full, with its names for the ledger.
pub struct AttackSetup<'a> {
    /// The runs' name.
    pub name: &'a str,
    /// Which scores are maximised, by name.
    pub strategy_name: &'a str,
    /// Which loss, by name.
    pub loss_name: &'a str,
    /// The base attack.
    pub attack: &'a dyn Attack,
    /// Its settings, where it is one of the list.
    pub config: Option<Config>,
    /// Makes its objectives.
    pub strategy: &'a dyn Strategy,
    /// Which of its images count.
    pub iterate: Which,
}

/// Which image of an attack counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The best of all that was tried.
    #[default]
    Worst,
    /// The final point only.
    Last,
}

impl Which {
    pub(crate) fn of(self, found: &Adversarial) -> &Iterate {
        match self {
            Self::Worst => &found.worst,
            Self::Last => &found.last,
        }
    }
}

/// Which examples a run attacks. What is misclassified clean counts, and is never attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// All of them, so that attacks can be compared.
    Each,
    /// Those that no earlier run with a budget of this size has misclassified: attacks in stages, for the union
    /// alone.
    Standing,
}

impl Ledger {
    /// Runs `setup` from restart number `restart`, and adds what it did. Perturbed images go to `witnesses`
    /// where the classifier was misled.
    ///
    /// An example's result depends on the seed, the restart and its place in the data set; the same run made
    /// alone or after others is the same.
    ///
    /// # Errors
    /// [`Error::OtherData`] if the data is not the ledger's; otherwise as [`Evaluation::robust`]. The ledger is
    /// then as it was.
    pub fn run(
        &mut self,
        evaluation: &Evaluation<'_>,
        setup: &AttackSetup<'_>,
        restart: u32,
        order: Order,
        mut witnesses: Option<&mut Witnesses>,
        options: &mut Options<'_>,
    ) -> Result<&Run> {
        let found = evaluation.data.sha256()?;
        if found != self.data_sha256 {
            let found = found.to_owned();
            return Err(Error::OtherData { what: "the ledger", expected: self.data_sha256.clone(), found });
        }
        let budget = setup.attack.budget();
        let before = match order {
            Order::Each => self.clean.untouched(),
            Order::Standing => self.correct(budget),
        };
        let n = self.len();
        let examples: Vec<u32> = (0..n as u32).filter(|&at| !before.misclassified[at as usize]).collect();
        let mut run = Run {
            attack: setup.name.to_owned(),
            strategy: setup.strategy_name.to_owned(),
            loss: setup.loss_name.to_owned(),
            budget,
            config: setup.config,
            restart,
            staged: order == Order::Standing && before.misclassified != self.clean.misclassified,
            attacked: before.misclassified.iter().map(|misclassified| !misclassified).collect(),
            outcome: before,
            forward: vec![0; n],
            backward: vec![0; n],
            gradients: vec![0; n],
            zero_gradients: vec![0; n],
        };
        let seed = evaluation.seed.derive(Purpose::AttackRun, u64::from(restart));
        let restarted = Evaluation { seed, ..*evaluation };
        restarted.attack_each(setup.attack, setup.strategy, &examples, options, |batch, found, costs| {
            let iterate = setup.iterate.of(found);
            let sizes = sizes(budget, &batch.images, &iterate.images)?;
            let rows = batch.ids.iter().zip(&iterate.verdicts).zip(sizes).zip(costs);
            for (((id, verdict), size), cost) in rows {
                let at = id.index as usize;
                run.outcome.misclassified[at] = verdict.misclassified;
                run.outcome.predictions[at] = verdict.prediction;
                run.outcome.sizes[at] = size;
                run.forward[at] = count(cost.forward);
                run.backward[at] = count(cost.backward);
                run.gradients[at] = count(cost.gradients);
                run.zero_gradients[at] = count(cost.zero_gradients);
            }
            if let Some(witnesses) = witnesses.as_deref_mut() {
                witnesses.add(batch, iterate, budget)?;
            }
            Ok(run.outcome.misclassified.iter().filter(|misclassified| **misclassified).count())
        })?;
        self.runs.push(run);
        Ok(self.runs.last().expect("one was just added"))
    }

    /// Each example as the runs within `budget` have left it: the first that broke it counts.
    fn correct(&self, budget: robin_core::Budget) -> Outcome {
        let mut outcome = self.clean.untouched();
        for run in self.runs.iter().filter(|run| run.within(budget)) {
            for at in 0..self.len() {
                if !outcome.misclassified[at] && run.outcome.misclassified[at] {
                    outcome.misclassified[at] = true;
                    outcome.predictions[at] = run.outcome.predictions[at];
                    outcome.sizes[at] = run.outcome.sizes[at];
                }
            }
        }
        outcome
    }
}

impl Run {
    /// Work on all examples.
    pub fn cost(&self) -> CostTotals {
        let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum();
        CostTotals {
            attacked: self.attacked.iter().filter(|attacked| **attacked).count() as u64,
            forward: sum(&self.forward),
            backward: sum(&self.backward),
            gradients: sum(&self.gradients),
            zero_gradients: sum(&self.zero_gradients),
        }
    }

    /// Whether all that this run may return is allowed by `budget` too.
    pub(crate) fn within(&self, budget: robin_core::Budget) -> bool {
        self.budget.norm == budget.norm && self.budget.epsilon.get() <= budget.epsilon.get()
    }
}

/// A single example's counts stay far below the type's end; should they not, the largest is kept.
fn count(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
