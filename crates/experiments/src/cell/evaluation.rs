//! A classifier is made of trained networks, and evaluated clean or under an attack.

use robin_aggregation::{Aggregation, AttackDescription, StrategyChoice, StrategyName};
use robin_attacks::Aim;
use robin_core::{Budget, Misclassified, Seed};
use robin_data::Dataset;
use robin_evaluation::{Clean, Evaluation, Robust};
use serde_json::Value;

use super::amount::{Amount, FORWARD, steps};
use super::measure::{AttackAndStrategy, Watcher, aggregate, evaluated, measure, to_json};
use super::{Computed, Context, TrainedNetwork, Work};
use crate::record::Record;
use crate::spec::{AttackSpec, ClassifierKind, StageSpec, TransferAim};
use crate::{Error, Result};

/// An image's record: its prediction and the size of its perturbation, best and last.
const IMAGE_BYTES: u64 = 32;

/// Misclassified, by example.
pub type Misses = Vec<bool>;

/// A classifier to be evaluated.
#[derive(Debug)]
pub struct EvaluationWork {
    /// How its networks, the first ones that the cell needs, become one classifier.
    pub kind: ClassifierKind,
    /// How many they are.
    pub networks: usize,
    /// Test images.
    pub data: Dataset,
    /// `None` = clean accuracy.
    pub attack: Option<PlannedAttack>,
    /// Of random starts.
    pub seed: Seed,
}

/// An attack with everything that it needs.
#[derive(Debug, Clone)]
pub struct PlannedAttack {
    /// Base attack and loss.
    pub spec: AttackSpec,
    /// Further ones, each on the examples that those before have failed on.
    pub then: Vec<StageSpec>,
    /// How far.
    pub budget: Budget,
    /// What it is aimed at.
    pub at: AttackedAt,
}

/// What an attack is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttackedAt {
    /// The classifier itself, by a strategy.
    Itself(StrategyChoice),
    /// Another one, made of the other networks that the cell needs.
    Surrogate {
        /// How they become a classifier.
        kind: ClassifierKind,
        /// Where it is led.
        aim: TransferAim,
    },
}

impl EvaluationWork {
    /// Evaluates the classifier that the first of `networks`, in the aggregate's order, make up; a surrogate is made of the
    /// others.
    fn evaluate(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Value> {
        let (own, others) = networks.split_at(self.networks);
        let model = aggregate(self.kind, own, context.executor, context.watched.label)?;
        let evaluation = Evaluation {
            model: model.as_ref(),
            criterion: &Misclassified,
            data: &self.data,
            seed: self.seed,
        };
        let Some(PlannedAttack { spec, then, budget, at }) = &self.attack else {
            let (clean, robust) = measure(&evaluation, None, context)?;
            return evaluated(&clean, robust.as_ref());
        };
        match *at {
            AttackedAt::Itself(strategy) => {
                let build = |description: AttackDescription| {
                    let built = description.build(*budget, self.kind.aggregate(), model.num_classes());
                    built.map_err(Error::work("preparing the attack"))
                };
                let (attack, built) = build(spec.by(strategy))?;
                let attacked_by: AttackAndStrategy<'_> = (attack.as_ref(), built.as_ref());
                let (clean, mut robust) = measure(&evaluation, Some(attacked_by), context)?;
                for stage in then {
                    let Some(robust) = &mut robust else { break };
                    let (attack, built) = build(stage.by(strategy))?;
                    let attacked_by: AttackAndStrategy<'_> = (attack.as_ref(), built.as_ref());
                    further(robust, &evaluation, attacked_by, context)?;
                }
                evaluated(&clean, robust.as_ref())
            }
            AttackedAt::Surrogate { kind, aim } => {
                let attack = spec.attack.build(*budget).map_err(Error::work("preparing the attack"))?;
                let surrogate = aggregate(kind, others, context.executor, context.watched.label)?;
                let aim = match aim {
                    TransferAim::Untargeted => Aim::Away(spec.loss),
                    TransferAim::Targeted => Aim::RunnerUp,
                };
                let mut watcher = Watcher(context);
                let mut options = context.options(&mut watcher);
                let clean =
                    evaluation.clean(&mut options).map_err(Error::work("measuring clean accuracy"))?;
                let found = evaluation
                    .transferred(&clean, surrogate.as_ref(), attack.as_ref(), aim, &mut options)
                    .map_err(Error::work("transferring the attack"))?;
                let mut results = evaluated(&clean, Some(&found.robust))?;
                // Reported apart: a target that was hit, and not merely a label that was left.
                results["targets_hit"] = to_json("targets", &found.hits)?;
                Ok(results)
            }
        }
    }
    /// Networks that run in each step of an attack by `strategy`.
    fn run_by(&self, strategy: StrategyChoice, networks: f64) -> f64 {
        match (strategy, self.kind) {
            (StrategyChoice::Stages(_), _) => 1.0,
            (StrategyChoice::Scores(scores), ClassifierKind::Aggregate(Aggregation::OneVsAll)) => {
                match scores.name {
                    StrategyName::Top2 | StrategyName::SoftmaxTop2 => 2.0,
                    StrategyName::HighestArm => 1.0,
                    StrategyName::MarginT => 2.0 * (networks - 1.0),
                    StrategyName::Reweighted => 6.0,
                    _ => networks,
                }
            }
            _ => networks,
        }
    }
}

impl Work for EvaluationWork {
    fn run(&self, networks: &[TrainedNetwork<'_>], context: &Context<'_>) -> Result<Computed> {
        let _span = tracing::info_span!("evaluate", cell = context.watched.label).entered();
        self.evaluate(networks, context).map(Computed::from)
    }

    fn amount(&self, networks: f64) -> Amount {
        // Of the images, where an attack is made on what others have not misclassified: CIFAR-10's networks leave less, MNIST's more.
        const LEFT_STANDING: f64 = 0.5;
        // The judged classifier's; the others are a surrogate's.
        let own = (self.networks as f64).min(networks);
        let clean = FORWARD * own;
        let attacked = self.attack.as_ref().map_or(0.0, |attack| {
            let run = |stage: Option<StrategyChoice>| match attack.at {
                AttackedAt::Itself(strategy) => self.run_by(stage.unwrap_or(strategy), own),
                AttackedAt::Surrogate { .. } => (networks - own).max(1.0),
            };
            let first = run(None) * steps(&attack.spec.attack);
            let then = attack.then.iter().map(|stage| run(stage.strategy) * steps(&stage.attack));
            first + LEFT_STANDING * then.sum::<f64>() + 3.0 * clean
        });
        Amount::attack(self.data.len() as f64 * (clean + attacked))
    }

    fn result_bytes(&self) -> u64 {
        IMAGE_BYTES * self.data.len() as u64
    }

    fn evaluation(&self) -> Option<&EvaluationWork> {
        Some(self)
    }
}

/// Attacks what `robust` has failed on.
fn further(
    robust: &mut Robust,
    evaluation: &Evaluation<'_>,
    (attack, strategy): AttackAndStrategy<'_>,
    context: &Context<'_>,
) -> Result<()> {
    // To the evaluation what is misclassified already is as if it were wrong when clean: it is left alone.
    let so_far = Clean {
        misclassified: robust.worst.misclassified.clone(),
        predictions: robust.worst.predictions.clone(),
    };
    let mut watcher = Watcher(context);
    let mut options = context.options(&mut watcher);
    let next =
        evaluation.robust(&so_far, attack, strategy, &mut options).map_err(Error::work("attacking"))?;
    robust.join(&next);
    Ok(())
}

/// The misclassified examples of an evaluation's record, after the attack if there was one, else clean; and the share of the
/// attack's input gradients that were exactly zero.
pub(crate) fn verdicts(record: &Record) -> Result<(Misses, f64)> {
    let robust: Option<Robust> = record.result("robust_examples")?;
    match robust {
        Some(robust) => Ok((robust.worst.misclassified, robust.cost.zero_gradient_share())),
        None => {
            let clean: Clean = record.result("clean_examples")?;
            Ok((clean.misclassified, 0.0))
        }
    }
}
