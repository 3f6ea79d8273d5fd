//! What does the arithmetic, by its name on the command line.

use std::fmt;
use std::str::FromStr;

use robin_nn::Executor;
use robin_nn::cpu::Cpu;

use crate::{Error, Result};

/// A device that this build and this machine can use. A name that they cannot use never falls back to another.
#[derive(Clone, Copy)]
pub struct Device {
    executor: &'static dyn Executor,
    /// Of a CUDA device that our own kernels run on.
    ordinal: Option<usize>,
}

/// Names of devices, for messages.
const VALID: &str =
    "cpu, candle, cuda:N in a build with the feature `cuda`, or candle:cuda:N in one with `candle-cuda`";

/// How a CUDA device computes: names of the command line, `None` where nothing was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arithmetic<'a> {
    /// `f32`, `tf32` or `bf16`.
    pub precision: Option<&'a str>,
    /// Whether results must have the same bits in every run.
    pub repeatable: bool,
}

/// How a CPU computes training attacks if not in f32, by name.
const OF_TRAINING_ATTACKS: [(&str, &Cpu); 2] =
    [("bf16", &Cpu::TRAINING_ATTACKS_IN_BF16), ("bf16-amx", &Cpu::TRAINING_ATTACKS_IN_BF16_AMX)];

impl Device {
    /// What runs the networks there.
    pub fn executor(self) -> &'static dyn Executor {
        self.executor
    }

    /// Its number among the machine's GPUs, if it is one.
    pub fn ordinal(self) -> Option<usize> {
        self.ordinal
    }

    /// The same device, computing otherwise. A CPU computes in f32, with the same bits in every run, its training attacks in bf16 if asked, and
    /// candle in f32.
    ///
    /// # Errors
    /// [`Error::Option`] for a precision that it does not have.
    pub fn computing(self, arithmetic: Arithmetic<'_>) -> Result<Self> {
        match (self.ordinal, arithmetic.precision) {
            (None, None | Some("f32")) => Ok(self),
            (None, Some(name)) => {
                let on_cpu = self.executor.name() == Cpu::F32.name();
                let known = OF_TRAINING_ATTACKS.iter().find(|(known, _)| on_cpu && *known == name);
                let &(_, executor) = known.ok_or_else(|| Error::Option {
                    option: "--precision",
                    value: name.to_owned(),
                    allowed:
                        "f32; bf16 or bf16-amx with --device cpu, for training attacks; tf32 or bf16 with \
                              --device cuda:N"
                            .to_owned(),
                })?;
                Ok(Self { executor, ..self })
            }
            (Some(_), None) if !arithmetic.repeatable => Ok(self),
            (Some(ordinal), _) => Self::cuda(ordinal, arithmetic),
        }
    }

    /// The precision of training attacks if they alone are computed otherwise, so that a training needs one that is.
    pub fn precision_of_training_attacks(self) -> Option<&'static str> {
        let name = self.executor.name();
        OF_TRAINING_ATTACKS
            .iter()
            .find(|(_, executor)| executor.name() == name)
            .map(|(precision, _)| *precision)
    }

    /// Our own kernels on a GPU: the one place that opens one.
    #[cfg(feature = "cuda")]
    fn cuda(ordinal: usize, arithmetic: Arithmetic<'_>) -> Result<Self> {
        use robin_cuda::{Cuda, Precision, Selection};

        let precision = arithmetic.precision.unwrap_or(Precision::F32.name());
        let precision: Precision = precision.parse().map_err(|_| Error::Option {
            option: "--precision",
            value: precision.to_owned(),
            allowed: "f32, tf32 or bf16".to_owned(),
        })?;
        let selection = if arithmetic.repeatable { Selection::Repeatable } else { Selection::Fastest };
        let executor = Cuda::open(ordinal, precision, selection).map_err(|error| Error::Device {
            device: format!("cuda:{ordinal}"),
            reason: error.to_string(),
        })?;
        // A device is there until the program ends.
        Ok(Self { executor: Box::leak(Box::new(executor)), ordinal: Some(ordinal) })
    }

    /// candle's own layers on one of its devices.
    #[cfg(feature = "candle-cuda")]
    fn candle_cuda(ordinal: usize) -> Result<Self> {
        let opened = robin_nn::candle::Candle::cuda(ordinal);
        let executor = opened.map_err(|error| Error::Device {
            device: format!("candle:cuda:{ordinal}"),
            reason: error.to_string(),
        })?;
        Ok(Self { executor: Box::leak(Box::new(executor)), ordinal: None })
    }

    #[cfg(not(feature = "candle-cuda"))]
    fn candle_cuda(ordinal: usize) -> Result<Self> {
        Err(Error::MissingFeature { device: format!("candle:cuda:{ordinal}"), feature: "candle-cuda" })
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(ordinal: usize, _arithmetic: Arithmetic<'_>) -> Result<Self> {
        Err(Error::MissingFeature { device: format!("cuda:{ordinal}"), feature: "cuda" })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.executor.name())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if matches!(text, "cpu" | "candle") {
            let executor = robin_nn::executor(text).map_err(Error::work("choosing the executor"))?;
            return Ok(Self { executor, ordinal: None });
        }
        let by_candle = text.strip_prefix("candle:");
        let ordinal = match by_candle.unwrap_or(text).strip_prefix("cuda") {
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|ordinal| ordinal.parse().ok()),
            None => None,
        };
        match ordinal {
            Some(ordinal) if by_candle.is_some() => Self::candle_cuda(ordinal),
            Some(ordinal) => Self::cuda(ordinal, Arithmetic::default()),
            None => {
                let (given, valid) = (text.to_owned(), VALID.to_owned());
                Err(Error::Unknown { what: "device", given, valid })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_computes_in_f32_but_for_training_attacks() {
        let with = |device: &str, precision| {
            let device: Device = device.parse().unwrap();
            device.computing(Arithmetic { precision: Some(precision), repeatable: false })
        };
        assert_eq!(with("cpu", "f32").unwrap().to_string(), "cpu");
        // The name is part of every record's key.
        assert_eq!(with("cpu", "bf16").unwrap().to_string(), "cpu, training attacks in bf16");
        assert_eq!(with("cpu", "bf16-amx").unwrap().to_string(), "cpu, training attacks in bf16 by AMX");
        for (device, precision) in [("cpu", "tf32"), ("candle", "bf16"), ("cpu", "f16")] {
            let error = with(device, precision).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("--device cuda:N"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_for_a_gpu_is_said() {
        for name in ["cuda", "cuda:0", "cuda:63"] {
            match name.parse::<Device>() {
                // On a machine with a GPU the first one opens.
                Ok(device) => assert!(cfg!(feature = "cuda") && device.ordinal() == Some(0)),
                Err(error) => {
                    let text = error.to_string();
                    let part = if cfg!(feature = "cuda") { "cannot be used: " } else { "cargo xtask-cuda" };
                    assert!(error.is_usage() && text.contains(part), "{text}");
                }
            }
        }
        for name in ["candle:cuda", "candle:cuda:0"] {
            match name.parse::<Device>() {
                Ok(device) => assert!(cfg!(feature = "candle-cuda") && device.ordinal().is_none()),
                Err(error) => {
                    let text = error.to_string();
                    let part = if cfg!(feature = "candle-cuda") { "cannot be used: " } else { "candle-cuda" };
                    assert!(error.is_usage() && text.contains(part), "{text}");
                }
            }
        }
        assert_eq!("candle".parse::<Device>().unwrap().to_string(), "candle");
        for name in ["cuda:", "cuda:x", "cuda0", "gpu", "candle:", "candle:cpu", "candle:cuda:x"] {
            assert!(matches!(name.parse::<Device>(), Err(Error::Unknown { .. })), "{name}");
        }
    }
}
