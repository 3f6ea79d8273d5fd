//! How fast training steps are: each measured by this program's own `bench step`, in a process of its own.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use robin_kernels::cuda::Precision;
use serde_json::{Value, json};

const MODELS: [&str; 4] = ["cnn2", "myrtle", "resnet18", "resnet50"];

/// Networks side by side.
const ARMS: usize = 10;

/// Seconds after which a case is stopped are those of its repetitions: few.
const REPEAT: usize = 5;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    model: &'static str,
    precision: Precision,
    /// Ten binary networks in place of one of ten classes.
    arms: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.model, self.precision)?;
        if self.arms { write!(f, ", {ARMS} arms side by side") } else { Ok(()) }
    }
}

/// All of them; what matters most comes first.
pub(super) fn cases() -> Vec<Case> {
    let all = |arms, models: &'static [&'static str]| {
        let models = models.iter().copied();
        models.flat_map(move |model| Precision::ALL.map(move |precision| Case { model, precision, arms }))
    };
    all(false, &MODELS).chain(all(true, &MODELS[..2])).collect()
}

impl Case {
    /// JSON, and a line.
    pub(super) fn measure(self, ordinal: usize, python: Option<&Path>) -> anyhow::Result<(Value, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "step", "--json", "--model", self.model]);
        command.args(["--device", &format!("cuda:{ordinal}"), "--precision", self.precision.name()]);
        command.args(["--repeat", &REPEAT.to_string()]);
        if self.arms {
            command.args(["--arms", &ARMS.to_string(), "--threads", &ARMS.to_string()]);
        } else if let Some(python) = python {
            command.args(["--against", "pytorch", "--pairs", "1", "--python"]).arg(python);
        }
        let output = command.output().context("this program does not start again")?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let result: Value = serde_json::from_slice(&output.stdout).context("bench did not print JSON")?;
        let line = format!("      {self}: {}", words(&result));
        Ok((json!({ "name": self.to_string(), "result": result }), line))
    }
}

fn words(result: &Value) -> String {
    if let Some(pair) = result["pairs"].get(0) {
        return format!(
            "{:.0} images per second, {:.2} times PyTorch ({}, {})",
            pair["robin"]["images_per_second"].as_f64().unwrap_or(f64::NAN),
            result["ratio"].as_f64().unwrap_or(f64::NAN),
            pair["pytorch"]["layout"].as_str().unwrap_or("?"),
            pair["pytorch"]["variant"].as_str().unwrap_or("?"),
        );
    }
    match result["ratio"].as_f64() {
        Some(ratio) => format!("{ratio:.2} times the throughput of one"),
        None => {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            format!(
                "{:.0} images per second, {:.4} s per step",
                number(&result["images_per_second"]),
                number(&result["seconds_per_step"]["median"])
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_measured_in_every_precision() {
        let cases = cases();
        assert_eq!(cases.len(), 4 * 3 + 2 * 3);
        assert_eq!(cases[11].to_string(), "resnet50 in bf16");
        assert_eq!(cases[12].to_string(), "cnn2 in f32, 10 arms side by side");
    }

    #[test]
    fn a_measurement_is_said_in_words() {
        let alone = json!({ "images_per_second": 1000.4, "seconds_per_step": { "median": 0.128 } });
        assert_eq!(words(&alone), "1000 images per second, 0.1280 s per step");
        let theirs = json!({ "layout": "channels_last", "variant": "compile" });
        let pair = json!({ "robin": { "images_per_second": 10.0 }, "pytorch": theirs, "ratio": 1.5 });
        let text = words(&json!({ "pairs": [pair], "ratio": 1.5 }));
        assert_eq!(text, "10 images per second, 1.50 times PyTorch (channels_last, compile)");
    }
}
