//! The learning rate over a training.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::config::{positive, refuse};

/// Most milestones of a schedule.
const MOST_MILESTONES: usize = 1_000;

/// What the learning rate is multiplied by, from step to step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Multiplied by `factor` at each milestone, a fraction of all epochs: the paper has `[0.5]` and 0.1.
    /// The same within an epoch.
    Steps {
        /// Fractions in `(0, 1)`, rising.
        milestones: Vec<f64>,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// `last + (1 - last) (1 + cos(pi t)) / 2`, where t in `(0, 1]` is the share of steps done with this one
    /// (Loshchilov and Hutter 2017, without restarts).
    Cosine {
        /// Factor at the end, in `[0, 1]`.
        last: f64,
    },
    /// Linear from `first` up to 1 at `peak`, then linear down to `last` (Smith 2018; "fast" adversarial training
    /// of Wong et al. 2020 has 0, 0.4 or 0.5, 0), by the share of steps done with this one.
    OneCycle {
        /// Factor before the first step, in `[0, 1]`.
        first: f64,
        /// Share of steps at which the factor is 1, in `(0, 1)`.
        peak: f64,
        /// Factor at the end, in `[0, 1]`.
        last: f64,
    },
}

impl Schedule {
    /// The factor in step `step` of `steps` of epoch `epoch` of `epochs`, both counted from 0.
    pub fn factor(&self, (epoch, epochs): (usize, usize), (step, steps): (usize, usize)) -> f64 {
        let done = (epoch * steps + step + 1) as f64 / (epochs * steps) as f64;
        match self {
            Schedule::Steps { milestones, factor } => {
                let passed = milestones.iter().filter(|m| epoch as f64 >= **m * epochs as f64).count();
                factor.powi(passed as i32)
            }
            // `libm`: every platform gets the same bits.
            Schedule::Cosine { last } => last + (1.0 - last) * (1.0 + libm::cos(PI * done)) / 2.0,
            Schedule::OneCycle { first, peak, .. } if done <= *peak => first + (1.0 - first) * done / peak,
            Schedule::OneCycle { peak, last, .. } => last + (1.0 - last) * (1.0 - done) / (1.0 - peak),
        }
    }

    /// Refuses settings that make no sense.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for the first of them.
    pub fn validate(&self) -> Result<()> {
        let share = |field, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => refuse(field, value, "a number in [0, 1]"),
        };
        match self {
            Schedule::Steps { milestones, factor } => {
                if milestones.len() > MOST_MILESTONES {
                    let found = format!("a list of {} milestones", milestones.len());
                    return refuse("milestones", found, format!("at most {MOST_MILESTONES} of them"));
                }
                if !milestones.iter().all(|m| 0.0 < *m && *m < 1.0) || !milestones.is_sorted() {
                    return refuse("milestones", format!("{milestones:?}"), "rising fractions in (0, 1)");
                }
                positive("factor", *factor)
            }
            Schedule::Cosine { last } => share("last", *last),
            Schedule::OneCycle { first, peak, last } => {
                if !(*peak > 0.0 && *peak < 1.0) {
                    return refuse("peak", peak, "a number in (0, 1)");
                }
                share("first", *first)?;
                share("last", *last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    fn factors(schedule: &Schedule, epochs: usize, steps: usize) -> Vec<f64> {
        let places = (0..epochs).flat_map(|epoch| (0..steps).map(move |step| (epoch, step)));
        places.map(|(epoch, step)| schedule.factor((epoch, epochs), (step, steps))).collect()
    }

    #[test]
    fn the_cosine_falls_from_step_to_step_and_ends_at_its_last() {
        let factors = factors(&Schedule::Cosine { last: 0.1 }, 4, 5);
        assert!(factors.is_sorted_by(|a, b| a > b), "{factors:?}");
        assert!((factors[9] - 0.55).abs() < 1e-12 && (factors[19] - 0.1).abs() < 1e-12, "{factors:?}");
    }

    #[test]
    fn one_cycle_is_linear_up_and_down() {
        let factors = factors(&Schedule::OneCycle { first: 0.0, peak: 0.4, last: 0.0 }, 2, 5);
        let expected = [0.25, 0.5, 0.75, 1.0, 5.0 / 6.0, 4.0 / 6.0, 0.5, 2.0 / 6.0, 1.0 / 6.0, 0.0];
        for (found, expected) in factors.iter().zip(expected) {
            assert_abs_diff_eq!(*found, expected, epsilon = 1e-12);
        }
    }

    #[test]
    fn factors_outside_their_range_are_named() {
        let message = |schedule: Schedule| schedule.validate().unwrap_err().to_string();
        assert!(message(Schedule::Cosine { last: 1.5 }).contains("last is 1.5"));
        assert!(message(Schedule::Cosine { last: f64::NAN }).contains("last is NaN"));
        let cycle = |first, peak, last| Schedule::OneCycle { first, peak, last };
        assert!(message(cycle(0.0, 1.0, 0.0)).contains("peak is 1"));
        assert!(message(cycle(-0.1, 0.5, 0.0)).contains("first is -0.1"));
        cycle(0.0, 0.4, 0.0).validate().unwrap();
    }
}
