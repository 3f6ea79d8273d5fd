//! Everything that decides the result of a training, written out.

use robin_attacks::StepSize;
use robin_core::Budget;
use robin_data::Sampling;
use serde::{Deserialize, Serialize};

use crate::{Error, Proportion, Result};

/// Settings of one training. No field has a default: a spec states them all.
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
    /// How the learning rate falls.
    pub schedule: Schedule,
    /// Which examples share a batch.
    pub sampling: Sampling,
    /// Zeros around an image before a random crop of its own size; 0 means no crop.
    pub crop_padding: usize,
}

/// What the loss is computed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// Cross-entropy on clean images.
    Standard {},
    /// Cross-entropy on batches in which a growing share is perturbed (Madry et al. 2018, paper section 5).
    /// The training attack is PGD on the cross-entropy, uniform start, evaluation mode, final point.
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
}

/// The learning rate from epoch to epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Multiplied by `factor` at each milestone, a fraction of all epochs: the paper has `[0.5]` and 0.1.
    Steps {
        /// Fractions in `(0, 1)`, rising.
        milestones: Vec<f64>,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

impl Config {
    /// Refuses settings that make no sense, before any work.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first of them.
    pub fn validate(&self) -> Result<()> {
        let refuse = |field, value: String, allowed| Err(Error::Setting { field, value, allowed });
        if self.epochs == 0 {
            return refuse("epochs", "0".to_owned(), ">= 1");
        }
        if self.batch_size == 0 {
            return refuse("batch_size", "0".to_owned(), ">= 1");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            return refuse("learning_rate", self.learning_rate.to_string(), "a finite number > 0");
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return refuse("momentum", self.momentum.to_string(), "a number in [0, 1)");
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            return refuse("weight_decay", self.weight_decay.to_string(), "a finite number >= 0");
        }
        let Schedule::Steps { milestones, factor } = &self.schedule;
        if !milestones.iter().all(|m| 0.0 < *m && *m < 1.0) || !milestones.is_sorted() {
            return refuse("milestones", format!("{milestones:?}"), "rising fractions in (0, 1)");
        }
        if !(*factor > 0.0 && factor.is_finite()) {
            return refuse("factor", factor.to_string(), "a finite number > 0");
        }
        if let Method::PgdAt { budget, steps, step_size, .. } = &self.method {
            if *steps == 0 {
                return refuse("steps", "0".to_owned(), ">= 1");
            }
            step_size.pixels(budget.epsilon, *steps)?;
        }
        Ok(())
    }

    /// The learning rate of epoch `epoch`, counted from 0.
    pub fn learning_rate_at(&self, epoch: usize) -> f64 {
        let Schedule::Steps { milestones, factor } = &self.schedule;
        let passed = milestones.iter().filter(|m| epoch as f64 >= **m * self.epochs as f64).count();
        self.learning_rate * factor.powi(passed as i32)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn paper(epochs: usize) -> Config {
        Config {
            method: Method::Standard {},
            epochs,
            batch_size: 128,
            learning_rate: 0.1,
            momentum: 0.9,
            weight_decay: 5e-4,
            schedule: Schedule::Steps { milestones: vec![0.5], factor: 0.1 },
            sampling: Sampling::Plain,
            crop_padding: 0,
        }
    }

    #[test]
    fn the_rate_falls_at_half_of_training() {
        let rates: Vec<f64> = (0..20).map(|epoch| paper(20).learning_rate_at(epoch)).collect();
        assert!(rates[..10].iter().all(|&rate| rate == 0.1));
        assert!(rates[10..].iter().all(|&rate| (rate - 0.01).abs() < 1e-15));
        // An odd number of epochs: the first half is the longer one.
        assert_eq!(paper(5).learning_rate_at(2), 0.1);
        assert!(paper(5).learning_rate_at(3) < 0.1);
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
}
