//! Attacks crafted on one classifier and shown to another.

use robin_core::{
    Attack, Batch, CancelToken, Classifier, Columns, Cost, Objective, Result, Scores, Seed, SuccessCriterion,
    Target, scores::ranked,
};

use crate::Loss;
use crate::objectives::TargetedCrossEntropy;

/// Where the surrogate is led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Away from the label, by this loss of the surrogate's scores.
    Away(Loss),
    /// To the class that the judged classifier ranks second on the clean image; the surrogate's cross-entropy
    /// against it is lowered.
    RunnerUp,
}

/// What became of transferred images.
#[derive(Debug, Clone)]
pub struct Transferred {
    /// The surrogate's final points, `[n, c, h, w]`.
    pub images: candle_core::Tensor,
    /// What the judged classifier predicts there, `[n]`.
    pub predictions: Vec<u32>,
    /// Whether it still predicts the label, `[n]`.
    pub robust: Vec<bool>,
    /// Whether it predicts the target, `[n]`; `None` if there was none.
    pub hit: Option<Vec<bool>>,
    /// Work spent on the surrogate, `[n]`.
    pub cost: Vec<Cost>,
}

/// Crafts images on `surrogate` with `attack`, and shows them to `judged` once, at the end. The attack's final
/// point counts (`last`), it never stops early, and neither its steps nor its choice of a point consult `judged`;
/// with [`Aim::RunnerUp`] the targets are read from `judged`'s scores of the clean images.
///
/// Attacks that look for the smallest perturbation of the surrogate have no final point of any use here.
///
/// # Errors
/// As the classifiers', the loss's and the attack's; the budget is verified.
pub fn transfer(
    surrogate: &dyn Classifier,
    attack: &dyn Attack,
    aim: Aim,
    judged: &dyn Classifier,
    batch: &Batch,
    seed: Seed,
    cancel: &CancelToken,
) -> Result<Transferred> {
    batch.validate(judged.num_classes())?;
    let targets = match aim {
        Aim::Away(_) => None,
        Aim::RunnerUp => Some(runner_up(&judged.scores(&batch.images, &Columns::All)?)?),
    };
    let objectives: Vec<Box<dyn Objective>> = match (aim, &targets) {
        (Aim::Away(loss), _) => {
            loss.prepare(&surrogate.scores(&batch.images, &Columns::All)?, &batch.labels)?
        }
        (Aim::RunnerUp, targets) => {
            vec![Box::new(TargetedCrossEntropy::new(targets.clone().unwrap_or_default()))]
        }
    };
    let target = Target { model: surrogate, criterion: &NeverMisclassified, cancel };
    let found = attack.perturb(&target, &objectives, batch, seed)?;
    attack.budget().verify(&batch.images, &found.last.images)?;
    let images = found.last.images;
    let predictions = judged.decide(&judged.scores(&images, &Columns::All)?)?;
    let equals = |classes: &[u32]| -> Vec<bool> {
        predictions.iter().zip(classes).map(|(prediction, class)| prediction == class).collect()
    };
    Ok(Transferred {
        robust: equals(&batch.labels),
        hit: targets.as_deref().map(equals),
        images,
        predictions,
        cost: found.cost,
    })
}

/// The second-highest class of each example.
fn runner_up(scores: &Scores) -> Result<Vec<u32>> {
    let values = scores.to_vec()?;
    Ok(values.chunks_exact(scores.columns()).map(|row| *ranked(row).get(1).unwrap_or(&0)).collect())
}

/// Keeps an attack going to its last step.
struct NeverMisclassified;

impl SuccessCriterion for NeverMisclassified {
    fn misclassified(&self, _prediction: u32, _label: u32) -> bool {
        false
    }
}
