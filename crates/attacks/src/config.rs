//! Attacks as they are written in a spec.

use robin_core::{Attack, Budget, Epsilon};
use serde::{Deserialize, Serialize};

use crate::{Error, Fgsm, Pgd, RandomNoise, Result, Start};

/// A base attack without its budget. Every setting that decides a number is written out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Config {
    /// See [`Fgsm`].
    Fgsm {},
    /// See [`Pgd`].
    Pgd {
        /// At least 1.
        steps: usize,
        /// At least 1; 1 means a single run.
        restarts: usize,
        /// Length of a step.
        step_size: StepSize,
        /// Where each run begins.
        start: Start,
    },
    /// See [`RandomNoise`].
    RandomNoise {
        /// Draws per example, at least 1.
        candidates: usize,
    },
}

impl Config {
    /// The name in specs and in [`crate::ATTACKS`].
    pub fn name(&self) -> &'static str {
        match self {
            Config::Fgsm {} => "fgsm",
            Config::Pgd { .. } => "pgd",
            Config::RandomNoise { .. } => "random-noise",
        }
    }

    /// The attack with this budget.
    ///
    /// # Errors
    /// [`Error::Setting`] for the first setting outside what is allowed.
    pub fn build(&self, budget: Budget) -> Result<Box<dyn Attack>> {
        let name = self.name();
        let at_least_one = |field, value: usize| match value {
            0 => Err(Error::Setting { attack: name, field, value: "0".to_owned(), allowed: ">= 1" }),
            _ => Ok(value),
        };
        Ok(match *self {
            Config::Fgsm {} => Box::new(Fgsm { budget }),
            Config::Pgd { steps, restarts, step_size, start } => {
                let steps = at_least_one("steps", steps)?;
                let restarts = at_least_one("restarts", restarts)?;
                let step_size = step_size.pixels(budget.epsilon, steps)?;
                Box::new(Pgd { budget, steps, step_size, restarts, start })
            }
            Config::RandomNoise { candidates } => {
                Box::new(RandomNoise { budget, candidates: at_least_one("candidates", candidates)? })
            }
        })
    }
}

/// Length of a step, in the budget's norm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepSize {
    /// This many times `epsilon / steps`.
    Relative(f64),
    /// In pixels.
    Absolute(f64),
}

impl StepSize {
    /// `2.5 * epsilon / steps` (Madry's rule), which can reach the ball's border from any start and move
    /// along it.
    pub const STANDARD: StepSize = StepSize::Relative(2.5);

    /// The length in pixels for an attack of `steps` steps.
    ///
    /// # Errors
    /// [`Error::Setting`] unless it is finite and > 0; 0 is allowed with epsilon 0, where no step can move.
    pub fn pixels(self, epsilon: Epsilon, steps: usize) -> Result<f64> {
        let pixels = match self {
            StepSize::Relative(factor) => factor * epsilon.get() / steps as f64,
            StepSize::Absolute(pixels) => pixels,
        };
        let wrong_factor = matches!(self, StepSize::Relative(factor) if factor.is_nan() || factor <= 0.0);
        let legal = pixels > 0.0 || (pixels == 0.0 && epsilon.get() == 0.0);
        if legal && pixels.is_finite() && !wrong_factor {
            return Ok(pixels);
        }
        Err(Error::Setting {
            attack: "pgd",
            field: "step_size",
            value: format!("{self:?} ({pixels} pixels at epsilon {epsilon}, {steps} steps)"),
            allowed: "a finite number > 0",
        })
    }
}

#[cfg(test)]
mod tests {
    use robin_core::Norm;

    use super::*;
    use crate::ATTACKS;

    fn budget(epsilon: &str) -> Budget {
        Budget { norm: Norm::Linf, epsilon: epsilon.parse().unwrap() }
    }

    fn message(config: Config) -> String {
        match config.build(budget("8/255")) {
            Ok(_) => panic!("{config:?} is legal"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn settings_outside_what_is_allowed_are_named() {
        let pgd =
            |steps, restarts, step_size| Config::Pgd { steps, restarts, step_size, start: Start::Clean };
        for (config, parts) in [
            (pgd(0, 1, StepSize::STANDARD), ["pgd", "steps is 0", ">= 1"]),
            (pgd(1, 0, StepSize::STANDARD), ["pgd", "restarts is 0", ">= 1"]),
            (pgd(1, 1, StepSize::Absolute(0.0)), ["step_size", "Absolute(0.0)", "> 0"]),
            (pgd(1, 1, StepSize::Absolute(f64::NAN)), ["step_size", "NaN", "> 0"]),
            (pgd(1, 1, StepSize::Absolute(f64::INFINITY)), ["step_size", "inf", "finite"]),
            (pgd(1, 1, StepSize::Relative(-2.5)), ["step_size", "Relative(-2.5)", "> 0"]),
            (Config::RandomNoise { candidates: 0 }, ["random-noise", "candidates is 0", ">= 1"]),
        ] {
            let message = message(config);
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
    }

    #[test]
    fn steps_of_no_length_are_legal_at_epsilon_0_only() {
        let epsilon = "0".parse().unwrap();
        assert_eq!(StepSize::STANDARD.pixels(epsilon, 10).unwrap(), 0.0);
        assert_eq!(StepSize::Absolute(0.0).pixels(epsilon, 10).unwrap(), 0.0);
        assert!(StepSize::Relative(0.0).pixels(epsilon, 10).is_err());
        let pixels = StepSize::STANDARD.pixels("8/255".parse().unwrap(), 10).unwrap();
        assert!((pixels - 2.0 / 255.0).abs() < 1e-15);
    }

    #[test]
    fn examples_round_trip_and_unknown_fields_are_refused() {
        for entry in ATTACKS {
            let text = serde_json::to_string(&entry.example).unwrap();
            assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), entry.example);
            assert_eq!(entry.example.name(), entry.name);
            assert!(text.contains(&format!("\"name\":\"{}\"", entry.name)), "{text}");
            let more = text.replacen('{', "{\"norm\":\"l2\",", 1);
            assert!(serde_json::from_str::<Config>(&more).is_err(), "{more}");
        }
        assert!(serde_json::from_str::<Config>(r#"{"name":"pgd","steps":10}"#).is_err());
    }
}
