//! How fast training steps are: each measured by this program's own `bench step`, in a process of its own.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use robin_cuda::Precision;
use serde_json::{Value, json};

const MODELS: [&str; 4] = ["cnn2", "myrtle", "resnet18", "resnet50"];

/// Networks side by side.
const ARMS: usize = 10;

/// Repetitions of each.
const REPEAT: usize = 5;

/// A case that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// The same where PyTorch is measured in turn, which compiles its networks.
const LIMIT_WITH_PYTORCH: Duration = Duration::from_secs(420);

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
        let mut limit = LIMIT;
        if self.arms {
            command.args(["--arms", &ARMS.to_string(), "--threads", &ARMS.to_string()]);
        } else if let Some(python) = python {
            limit = LIMIT_WITH_PYTORCH;
            command.args(["--against", "pytorch", "--pairs", "1", "--python"]).arg(python);
        }
        let output = output_within(command, limit)?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let result: Value = serde_json::from_slice(&output.stdout).context("bench did not print JSON")?;
        let line = format!("      {self}: {}", words(&result));
        Ok((json!({ "name": self.to_string(), "result": result }), line))
    }
}

/// What `command` prints; it is stopped after `limit`.
fn output_within(mut command: Command, limit: Duration) -> anyhow::Result<Output> {
    let began = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("this program does not start again")?;
    // Read beside it: a full pipe would stop it.
    let reader = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.map(|mut stream| stream.read_to_end(&mut bytes)).transpose().map(|_| bytes)
        })
    };
    let stdout = reader(child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let stderr = reader(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("stopped after {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    };
    let bytes = |reader: thread::JoinHandle<std::io::Result<Vec<u8>>>| {
        reader
            .join()
            .map_err(|_| anyhow::anyhow!("reading its output panicked"))?
            .context("reading its output")
    };
    Ok(Output { status, stdout: bytes(stdout)?, stderr: bytes(stderr)? })
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
    fn what_hangs_is_stopped() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let output = output_within(shell("echo out; echo err >&2; exit 3"), LIMIT).unwrap();
        assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(output.status.code(), Some(3));
        let error = output_within(shell("exec sleep 100"), Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("stopped after"), "{error}");
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
