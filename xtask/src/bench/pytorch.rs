//! The same step in PyTorch, in turn with ours.

use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::step::{Arguments, line};
use crate::root;

/// Runs ours and theirs `pairs` times, each in a process of its own.
pub(super) fn compare(arguments: &Arguments) -> anyhow::Result<(Value, String)> {
    let mut text = Vec::new();
    let mut pairs = Vec::new();
    let mut ratios = Vec::new();
    for number in 1..=arguments.pairs.max(1) {
        let (ours, theirs) = (ours(arguments)?, theirs(arguments)?);
        let seconds = |result: &Value| {
            result["seconds_per_step"]["median"].as_f64().context("a measurement without seconds_per_step")
        };
        let ratio = seconds(&theirs)? / seconds(&ours)?;
        text.push(line(&format!("pair {number}, ROBIN"), &ours));
        text.push(line(&format!("pair {number}, PyTorch"), &theirs));
        text.push(format!("pair {number}: {ratio:.2} times as fast as PyTorch"));
        ratios.push(ratio);
        pairs.push(json!({ "robin": ours, "pytorch": theirs, "ratio": ratio }));
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    text.push(format!("median of {} pairs: {median:.2}", ratios.len()));
    Ok((json!({ "pairs": pairs, "ratio": median }), text.join("\n")))
}

fn ours(arguments: &Arguments) -> anyhow::Result<Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "step", "--json", "--executor", &arguments.executor]);
    measurement(command, arguments)
}

fn theirs(arguments: &Arguments) -> anyhow::Result<Value> {
    let mut command = Command::new(&arguments.python);
    command.arg(root().join("fixtures/pytorch/bench_step.py"));
    measurement(command, arguments)
}

/// What a program with the options of `bench step` prints.
fn measurement(mut command: Command, arguments: &Arguments) -> anyhow::Result<Value> {
    let entry = robin_models::find(&arguments.model)?;
    let width = arguments.width.unwrap_or(entry.default_width);
    command.args(["--model", &arguments.model]);
    let numbers = [("--width", width), ("--batch", arguments.batch), ("--threads", arguments.threads())];
    for (option, number) in numbers {
        command.args([option, &number.to_string()]);
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!(
            "{program} does not start: name an interpreter with --python (see fixtures/pytorch/README.md)"
        )
    })?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{program} did not print JSON"))
}
