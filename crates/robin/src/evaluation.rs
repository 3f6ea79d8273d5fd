//! Several attacks as one number.

use candle_core::{Module, Tensor};
use robin_core::Budget;
use robin_evaluation::{Interval, Outcome, accuracy, interval, union};

use crate::input::Input;
use crate::run::run;
use crate::{Attack, Error, Found, Result};

/// Accuracy of a module under several attacks within one budget.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Evaluation {
    /// Within which they worked.
    pub budget: Budget,
    /// Share of images that are right without an attack.
    pub clean_accuracy: f64,
    /// Wilson's 95% interval of it.
    pub clean_interval: Interval,
    /// Share of images that no attack breaks: the number to report.
    pub accuracy: f64,
    /// Wilson's 95% interval of it: chance in the choice of images, not in that of attacks.
    pub interval: Interval,
    /// Whether any attack breaks it, or nothing was needed to, `[n]`.
    pub misclassified: Vec<bool>,
    /// Each attack by its name, in the order in which they were given.
    pub attacks: Vec<(String, Found)>,
}

impl Evaluation {
    /// The warnings of attacks that were blind, with the attack's name.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let said = |(name, found): &(String, Found)| Some(format!("{name}: {}", found.warning.as_ref()?));
        self.attacks.iter().filter_map(said)
    }
}

/// Runs each of `attacks` on every image, and joins them: an image is misclassified if one attack breaks it.
///
/// ```
/// use robin::{Pgd, Square, candle::{Device, Tensor}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let images = Tensor::new(&[[[[0.5_f32, 0.51]]], [[[0.9, 0.1]]]], &Device::Cpu)?;
/// let labels = Tensor::new(&[1_u32, 0], &Device::Cpu)?;
/// let attacks = [Pgd::linf("8/255")?, Square::linf("8/255")?.queries(50)];
/// let found = robin::evaluate(&|x: &Tensor| x.flatten_from(1), &images, &labels, attacks)?;
/// assert_eq!((found.clean_accuracy, found.accuracy), (1.0, 0.5));
/// assert!(found.interval.low < 0.5 && found.interval.high > 0.5);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`crate::attack()`]; [`Error::NoAttack`], [`Error::Budgets`] and [`Error::Targeted`] for attacks that are not to be
/// joined.
pub fn evaluate<'a, M: Module + ?Sized>(
    module: &M,
    images: &Tensor,
    labels: &Tensor,
    attacks: impl IntoIterator<Item = Attack<'a>>,
) -> Result<Evaluation> {
    let attacks = joined(attacks)?;
    let input = Input::new(module, images, labels, attacks[0].batch_size)?;
    evaluate_input(module, &input, attacks)
}

/// Attacks that can be joined, at least one.
pub(crate) fn joined<'a>(attacks: impl IntoIterator<Item = Attack<'a>>) -> Result<Vec<Attack<'a>>> {
    let attacks: Vec<Attack<'a>> = attacks.into_iter().collect();
    let expected = attacks.first().ok_or(Error::NoAttack)?.budget;
    for attack in &attacks {
        if attack.targets.is_some() {
            return Err(Error::Targeted { attack: attack.name.clone() });
        }
        if attack.budget != expected {
            return Err(Error::Budgets { attack: attack.name.clone(), found: attack.budget, expected });
        }
    }
    Ok(attacks)
}

/// [`evaluate`] on what has been checked.
pub(crate) fn evaluate_input<M: Module + ?Sized>(
    module: &M,
    input: &Input,
    attacks: Vec<Attack<'_>>,
) -> Result<Evaluation> {
    let budget = attacks[0].budget;
    let mut found = Vec::new();
    for attack in attacks {
        let name = attack.name.clone();
        found.push((name, run(module, input, attack)?));
    }
    let outcomes: Vec<Outcome> = found.iter().map(|(_, found)| outcome(found)).collect();
    let misclassified = union(&outcomes.iter().collect::<Vec<_>>())?;
    let clean = &found[0].1.clean_misclassified;
    Ok(Evaluation {
        budget,
        clean_accuracy: accuracy(clean),
        clean_interval: interval(clean),
        accuracy: accuracy(&misclassified),
        interval: interval(&misclassified),
        misclassified,
        attacks: found,
    })
}

/// As `robin_evaluation` joins them.
fn outcome(found: &Found) -> Outcome {
    Outcome {
        misclassified: found.misclassified.clone(),
        predictions: found.predictions.clone(),
        sizes: found.sizes.iter().map(|&size| size as f32).collect(),
    }
}
