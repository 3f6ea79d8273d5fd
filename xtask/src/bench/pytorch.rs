//! The same work in PyTorch, in turn with ours, each in a process of its own.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::model_under_test::ModelUnderTest;
use super::options::Options;
use super::output::{Unit, line};
use crate::root;
use crate::terminal::say;

/// Runs `bench WHAT` and its counterpart `--pairs` times, the fastest way that PyTorch has at any precision; on a CPU its
/// fastest in f32 too, if that is another. All take the same options, `more` among them.
pub(super) fn compare(
    what: &str,
    options: &Options,
    subject: &ModelUnderTest,
    more: &[String],
    unit: Unit,
) -> anyhow::Result<(Value, String)> {
    let script = Script::find()?;
    let theirs = |arguments: &[&str]| theirs(&script, what, options, subject, arguments);
    // The fastest way is looked for once, in a process of its own: others may need more memory.
    let mut trial = theirs(&["--trial"]);
    if options.device.ordinal().is_some() {
        trial.args(["--precision", options.device.precision()]);
    }
    let trial = measurement(trial, options, subject, more)?;
    let best = Way::of(&trial["best"]).context("PyTorch can do this in no way")?;
    let in_f32 = Way::of(&trial["f32"]).filter(|way| *way != best);
    let seconds = |result: &Value| {
        let median = result[unit.field()]["median"].as_f64();
        median.with_context(|| format!("a measurement without {}", unit.field()))
    };
    let mut text = Vec::new();
    let mut pairs = Vec::new();
    let (mut ratios, mut ratios_f32) = (Vec::new(), Vec::new());
    for number in 1..=options.pairs {
        say!("pair {number} of {}...", options.pairs);
        let mut ours = Command::new(std::env::current_exe()?);
        ours.args(["bench", what, "--json"]);
        match options.device.ordinal() {
            None => {
                ours.args(["--device", &options.device.name(), "--precision", options.device.precision()])
            }
            Some(ordinal) => ours
                .args(["--device", &format!("cuda:{ordinal}"), "--precision", options.device.precision()])
                .args(options.device.repeatable().then_some("--repeatable")),
        };
        ours.args(["--dataset", subject.data.name()]);
        let ours = measurement(ours, options, subject, more)?;
        text.push(line(&format!("pair {number}, ROBIN"), unit, &ours));
        let mut pair = json!({ "robin": ours });
        let ways = [
            ("pytorch", "ratio", Some(&best), &mut ratios),
            ("pytorch_f32", "ratio_f32", in_f32.as_ref(), &mut ratios_f32),
        ];
        for (field, ratio_field, way, ratios) in ways {
            let Some(way) = way else { continue };
            let found = measurement(theirs(&way.arguments()), options, subject, more)?;
            let ratio = seconds(&found)? / seconds(&ours)?;
            text.push(line(&format!("pair {number}, PyTorch ({way})"), unit, &found));
            text.push(format!("pair {number}: {ratio:.2} times as fast as PyTorch ({way})"));
            ratios.push(ratio);
            (pair[field], pair[ratio_field]) = (found, ratio.into());
        }
        pairs.push(pair);
    }
    let ratio = median(&mut ratios);
    text.push(format!(
        "median of {} pairs: {ratio:.2} times as fast as PyTorch's fastest ({best})",
        ratios.len()
    ));
    let mut result = json!({ "pairs": pairs, "ratio": ratio, "tried": trial["tried"] });
    if let Some(way) = in_f32 {
        let ratio = median(&mut ratios_f32);
        text.push(format!("{ratio:.2} times as fast as PyTorch in f32 ({way})"));
        result["ratio_f32"] = ratio.into();
    }
    Ok((result, text.join("\n")))
}

/// A way in which PyTorch does the work.
#[derive(Debug, Clone, PartialEq)]
struct Way {
    layout: String,
    variant: String,
    precision: String,
}

impl Way {
    fn of(found: &Value) -> Option<Self> {
        let text = |name: &str| Some(found[name].as_str()?.to_owned());
        Some(Self { layout: text("layout")?, variant: text("variant")?, precision: text("precision")? })
    }

    fn arguments(&self) -> [&str; 6] {
        ["--layout", &self.layout, "--variant", &self.variant, "--precision", &self.precision]
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.precision, self.layout, self.variant)
    }
}

/// The script that does the same work: in the project, or, where this program was carried without it, written out again.
struct Script {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl Script {
    fn find() -> anyhow::Result<Self> {
        let path = root().join("fixtures/pytorch/bench.py");
        if path.is_file() {
            return Ok(Self { path, _folder: None });
        }
        let folder = tempfile::tempdir().context("cannot make a folder for PyTorch's script")?;
        for (name, text) in [
            ("bench.py", include_str!("../../../fixtures/pytorch/bench.py")),
            ("networks.py", include_str!("../../../fixtures/pytorch/networks.py")),
        ] {
            std::fs::write(folder.path().join(name), text).context("cannot write PyTorch's script")?;
        }
        Ok(Self { path: folder.path().join("bench.py"), _folder: Some(folder) })
    }
}

/// Its process.
fn theirs(
    script: &Script,
    what: &str,
    options: &Options,
    subject: &ModelUnderTest,
    arguments: &[&str],
) -> Command {
    let [channels, side, _] = subject.data.shape();
    let mut command = Command::new(&options.python);
    command.arg(&script.path).arg(what).args(arguments);
    for (option, value) in [("--channels", channels.to_string()), ("--side", side.to_string())] {
        command.args([option, &value]);
    }
    if let Some(ordinal) = options.device.ordinal() {
        command.args(["--device", &format!("cuda:{ordinal}")]);
    }
    command.args(["--epsilon", &subject.budget.epsilon.get().to_string()]);
    command.env("OMP_NUM_THREADS", subject.threads.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The middle value, of an even number the mean of the middle two.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// What a program with the options of `bench` prints.
fn measurement(
    mut command: Command,
    options: &Options,
    subject: &ModelUnderTest,
    more: &[String],
) -> anyhow::Result<Value> {
    command.args(["--model", &subject.model]).args(more);
    let numbers = [
        ("--width", Some(subject.width)),
        ("--batch", Some(subject.batch)),
        ("--threads", Some(subject.threads)),
        ("--repeat", options.repeat),
    ];
    for (option, number) in numbers {
        command.args(number.iter().flat_map(|number| [option.to_owned(), number.to_string()]));
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
