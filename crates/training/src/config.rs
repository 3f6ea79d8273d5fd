//! Everything that decides the result of a training, written out.

use robin_attacks::StepSize;
use robin_core::Budget;
use robin_data::{Augmentation, Flip, Padding, Sampling};
use serde::{Deserialize, Serialize};

use crate::{AttackMode, Error, Method, Result, Schedule};

/// Settings of one training. A spec states them all; what is left out of the serialised form when it does nothing
/// came later, and is left out so that the keys of older records stay what they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Loss, and where its examples come from.
    pub method: Method,
    /// Passes over the data.
    pub epochs: usize,
    /// Examples of a step.
    pub batch_size: usize,
    /// Learning rate of the first epoch.
    pub learning_rate: f64,
    /// SGD's momentum, in `[0, 1)`.
    pub momentum: f64,
    /// Times the weights, added to their gradient; on biases too, as PyTorch's SGD does.
    pub weight_decay: f64,
    /// What the network's outputs are to the loss.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outputs: Outputs,
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// Which examples share a batch.
    pub sampling: Sampling,
    /// Pixels around an image before a random crop of its own size; 0 means no crop.
    pub crop_padding: usize,
    /// What these pixels are.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Whether images are mirrored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub flip: Flip,
    /// Batch norm during the training attack.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attack_mode: AttackMode,
    /// Share of every label that is spread over all classes, in `[0, 1)`; not with MART.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label_smoothing: f64,
    /// Whether the trained network is an average over the steps.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight_averaging: Option<WeightAveraging>,
    /// Whether a part of the training images is held out to watch robust accuracy and choose the best epoch.
    #[serde(default, skip_serializing_if = "is_default")]
    pub validation: Option<Validation>,
}

/// What a network's outputs are to its loss, and to its training attack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outputs {
    /// Logits of classes that exclude one another: cross-entropy.
    #[default]
    Classes,
    /// Each the log-odds of one class against all others: the sum of their binary cross-entropies
    /// ([`robin_attacks::objectives::OneVsAllCrossEntropy`]). With `standard` and `pgd-at`, and without label smoothing.
    OneVsAll,
}

/// Exponential moving average of the weights, and of batch norm's running statistics in the same way:
/// `average += (1 - decay) (current - average)` after every step, beginning as the weights after the first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightAveraging {
    /// In `(0, 1)`; 0.995 and 0.999 are usual.
    pub decay: f64,
}

/// Images that are held out from training, and the attack on them after each epoch: PGD on the cross-entropy, one
/// uniform start, the same in every epoch, final point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// How many: the last ones of each class in file order, as many of each class as divides evenly, the rest one
    /// more from the lowest classes. Classes of the data set, so that all networks hold out the same images.
    pub images: usize,
    /// The attack's budget.
    pub budget: Budget,
    /// The attack's steps.
    pub steps: usize,
    /// Length of a step.
    pub step_size: StepSize,
}

/// Whether a setting says nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Most passes over the data. A checkpoint has a report for each.
const MOST_EPOCHS: usize = 100_000;
/// Most examples of a step.
const MOST_BATCH: usize = 1 << 16;
/// Most steps of a training attack, which runs for every batch.
const MOST_STEPS: usize = 10_000;
/// Most held-out images; there must be more in the data set anyway.
const MOST_IMAGES: usize = 1 << 30;
/// Largest learning rate, weight decay, weight of a divergence: beyond it nothing can be learned in f32.
const LARGEST: f64 = 1e6;

/// The error about `field`.
pub(crate) fn refuse<T>(field: &'static str, value: impl ToString, allowed: impl Into<String>) -> Result<T> {
    Err(Error::Setting { field, value: value.to_string(), allowed: allowed.into() })
}

/// Refuses a number that is not from 1 to `most`.
fn count(field: &'static str, value: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&value) { Ok(()) } else { refuse(field, value, format!("1 to {most}")) }
}

/// Refuses steps of a training attack that are none, or more than anybody waits for.
pub(crate) fn check_steps(field: &'static str, steps: usize) -> Result<()> {
    count(field, steps, MOST_STEPS)
}

/// Refuses what is not above 0, or too large to learn with.
pub(crate) fn positive(field: &'static str, value: f64) -> Result<()> {
    match value > 0.0 && value <= LARGEST {
        true => Ok(()),
        false => refuse(field, value, format!("a number > 0, at most {LARGEST:e}")),
    }
}

/// Refuses what is below 0, or too large to learn with.
pub(crate) fn not_negative(field: &'static str, value: f64) -> Result<()> {
    match (0.0..=LARGEST).contains(&value) {
        true => Ok(()),
        false => refuse(field, value, format!("a number >= 0, at most {LARGEST:e}")),
    }
}

impl Config {
    /// Refuses settings that make no sense, before any work. What depends on the images is
    /// [`Augmentation::validate`]'s.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first of them.
    pub fn validate(&self) -> Result<()> {
        count("epochs", self.epochs, MOST_EPOCHS)?;
        count("batch_size", self.batch_size, MOST_BATCH)?;
        positive("learning_rate", self.learning_rate)?;
        if !(0.0..1.0).contains(&self.momentum) {
            return refuse("momentum", self.momentum, "a number in [0, 1)");
        }
        not_negative("weight_decay", self.weight_decay)?;
        self.schedule.validate()?;
        self.method.validate()?;
        if self.attack_mode == AttackMode::Train && self.method == (Method::Standard {}) {
            return refuse("attack_mode", "train", "eval with method standard, which has no attack");
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return refuse("label_smoothing", self.label_smoothing, "a number in [0, 1)");
        }
        if self.label_smoothing > 0.0 && matches!(self.method, Method::Mart { .. }) {
            return refuse("label_smoothing", self.label_smoothing, "0 with mart");
        }
        if self.outputs == Outputs::OneVsAll {
            if !matches!(self.method, Method::Standard {} | Method::PgdAt { .. }) {
                return refuse("outputs", "one-vs-all", "classes with trades and mart");
            }
            if self.label_smoothing > 0.0 {
                return refuse("label_smoothing", self.label_smoothing, "0 with outputs one-vs-all");
            }
        }
        if let Some(WeightAveraging { decay }) = self.weight_averaging
            && !(decay > 0.0 && decay < 1.0)
        {
            return refuse("weight_averaging.decay", decay, "a number in (0, 1)");
        }
        if let Some(Validation { images, budget, steps, step_size }) = self.validation {
            count("validation.images", images, MOST_IMAGES)?;
            check_steps("validation.steps", steps)?;
            step_size.pixels(budget.epsilon, steps)?;
        }
        Ok(())
    }

    /// What becomes of training images.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation { crop_padding: self.crop_padding, padding: self.padding, flip: self.flip }
    }

    /// The learning rate of step `step` of `steps` in epoch `epoch`, both counted from 0.
    pub fn learning_rate_at(&self, epoch: usize, step: usize, steps: usize) -> f64 {
        self.learning_rate * self.schedule.factor((epoch, self.epochs), (step, steps))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::AttackStart;

    pub(crate) fn paper(epochs: usize) -> Config {
        Config {
            method: Method::Standard {},
            epochs,
            batch_size: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            outputs: Outputs::Classes,
            schedule: Schedule::Steps { milestones: vec![0.5], factor: 0.1 },
            sampling: Sampling::Plain,
            crop_padding: 0,
            padding: robin_data::Padding::Zeros,
            flip: robin_data::Flip::None,
            attack_mode: AttackMode::Eval,
            label_smoothing: 0.0,
            weight_averaging: None,
            validation: None,
        }
    }

    #[test]
    fn the_rate_falls_at_half_of_training() {
        let rates: Vec<f64> = (0..20).map(|epoch| paper(20).learning_rate_at(epoch, 0, 7)).collect();
        assert!(rates[..10].iter().all(|&rate| rate == 0.1));
        assert!(rates[10..].iter().all(|&rate| (rate - 0.01).abs() < 1e-15));
        // An odd number of epochs: the first half is the longer one.
        assert_eq!(paper(5).learning_rate_at(2, 6, 7), 0.1);
        assert!(paper(5).learning_rate_at(3, 0, 7) < 0.1);
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        let message = |change: fn(&mut Config)| {
            let mut config = paper(20);
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        paper(20).validate().unwrap();
        assert!(message(|c| c.epochs = 0).contains("epochs is 0"));
        assert!(message(|c| c.batch_size = 0).contains("batch_size is 0"));
        assert!(message(|c| c.learning_rate = -0.1).contains("learning_rate is -0.1"));
        assert!(message(|c| c.learning_rate = f64::NAN).contains("learning_rate is NaN"));
        assert!(message(|c| c.momentum = 1.0).contains("momentum is 1"));
        assert!(message(|c| c.weight_decay = -1.0).contains("weight_decay is -1"));
        let milestones = |c: &mut Config| {
            c.schedule = Schedule::Steps { milestones: vec![0.5, 0.2], factor: 0.1 };
        };
        assert!(message(milestones).contains("milestones is [0.5, 0.2]"));
    }

    #[test]
    fn numbers_without_an_end_are_refused_with_what_is_allowed() {
        let message = |change: &dyn Fn(&mut Config)| {
            let mut config = paper(20);
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(
            message(&|c| c.epochs = 4_000_000_000).contains("epochs is 4000000000, allowed is 1 to 100000")
        );
        assert!(message(&|c| c.batch_size = usize::MAX).contains("allowed is 1 to 65536"));
        for far in [1e7, 1e300, f64::INFINITY, f64::NAN] {
            assert!(message(&|c| c.learning_rate = far).contains("at most 1e6"), "{far}");
            assert!(message(&|c| c.weight_decay = far).contains("at most 1e6"), "{far}");
            let schedule = Schedule::Steps { milestones: vec![0.5], factor: far };
            assert!(message(&|c| c.schedule = schedule.clone()).contains("factor is"), "{far}");
            assert!(message(&|c| c.label_smoothing = far).contains("[0, 1)"), "{far}");
            assert!(message(&|c| c.momentum = far).contains("[0, 1)"), "{far}");
        }
        let schedule = Schedule::Steps { milestones: vec![0.5; 10_000], factor: 0.1 };
        assert!(message(&|c| c.schedule = schedule.clone()).contains("10000 milestones"));
        let budget = Budget { norm: robin_core::Norm::L2, epsilon: "0.5".parse().unwrap() };
        let step_size = StepSize::STANDARD;
        let proportion = crate::Proportion::All;
        let method = Method::PgdAt { budget, steps: 10_001, step_size, proportion };
        assert!(message(&|c| c.method = method.clone()).contains("steps is 10001, allowed is 1 to 10000"));
        let trades = |lambda, deviation| {
            let start = AttackStart::Gaussian { deviation };
            Method::Trades { budget, steps: 10, step_size, lambda, start }
        };
        assert!(message(&|c| c.method = trades(1e7, 0.001)).contains("lambda is 10000000"));
        assert!(
            message(&|c| c.method = trades(6.0, 2.0))
                .contains("deviation is 2, allowed is a number in (0, 1]")
        );
        let validation = Validation { images: usize::MAX, budget, steps: 10, step_size };
        assert!(message(&|c| c.validation = Some(validation)).contains("validation.images is"));
        let validation = Validation { images: 1, steps: usize::MAX, ..validation };
        assert!(message(&|c| c.validation = Some(validation)).contains("validation.steps is"));
    }

    #[test]
    fn settings_of_methods_and_extras_that_make_no_sense_are_named() {
        let budget = Budget { norm: robin_core::Norm::L2, epsilon: "0.5".parse().unwrap() };
        let trades = |lambda, start| Method::Trades {
            budget,
            steps: 10,
            step_size: StepSize::Relative(2.0),
            lambda,
            start,
        };
        let mart = Method::Mart {
            budget,
            steps: 10,
            step_size: StepSize::STANDARD,
            lambda: 5.0,
            start: AttackStart::Gaussian { deviation: 0.001 },
        };
        let message = |change: &dyn Fn(&mut Config)| {
            let mut config = paper(20);
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        let gaussian = AttackStart::Gaussian { deviation: 0.001 };
        let legal = Config { method: trades(6.0, gaussian), label_smoothing: 0.1, ..paper(20) };
        legal.validate().unwrap();
        assert!(message(&|c| c.method = trades(-1.0, gaussian)).contains("lambda is -1"));
        assert!(message(&|c| c.method = trades(f64::INFINITY, gaussian)).contains("lambda is inf"));
        assert!(message(&|c| c.method = trades(1.0, AttackStart::Clean {})).contains("start is clean"));
        let still = AttackStart::Gaussian { deviation: 0.0 };
        assert!(message(&|c| c.method = trades(1.0, still)).contains("deviation is 0"));
        assert!(message(&|c| c.attack_mode = AttackMode::Train).contains("attack_mode is train"));
        let in_training = Config { attack_mode: AttackMode::Train, ..legal.clone() };
        in_training.validate().unwrap();
        assert!(message(&|c| c.label_smoothing = 1.0).contains("label_smoothing is 1"));
        let smoothed = |c: &mut Config| (c.method, c.label_smoothing) = (mart.clone(), 0.1);
        assert!(message(&smoothed).contains("label_smoothing is 0.1, allowed is 0 with mart"));
        let heads = Config { outputs: Outputs::OneVsAll, ..paper(20) };
        heads.validate().unwrap();
        let heads = |c: &mut Config| (c.method, c.outputs) = (mart.clone(), Outputs::OneVsAll);
        assert!(message(&heads).contains("outputs is one-vs-all"));
        let heads = |c: &mut Config| (c.label_smoothing, c.outputs) = (0.1, Outputs::OneVsAll);
        assert!(message(&heads).contains("label_smoothing is 0.1, allowed is 0 with outputs one-vs-all"));
        let average = |c: &mut Config| c.weight_averaging = Some(WeightAveraging { decay: 1.0 });
        assert!(message(&average).contains("weight_averaging.decay is 1"));
        let validation = Validation { images: 0, budget, steps: 10, step_size: StepSize::STANDARD };
        assert!(message(&|c| c.validation = Some(validation)).contains("validation.images is 0"));
        let validation = Validation { images: 10, steps: 0, ..validation };
        assert!(message(&|c| c.validation = Some(validation)).contains("validation.steps is 0"));
    }

    #[test]
    fn settings_that_came_later_are_not_written_where_they_say_nothing() {
        let text = serde_json::to_string(&paper(20)).unwrap();
        assert!(text.ends_with("\"crop_padding\":0}"), "{text}");
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), paper(20));
        let smoothed = Config { label_smoothing: 0.1, ..paper(20) };
        let text = serde_json::to_string(&smoothed).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), smoothed);
        assert!(serde_json::from_str::<Config>(&text.replace("label_smoothing", "smoothing")).is_err());
    }
}
