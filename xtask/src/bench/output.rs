//! Numbers as JSON, as text, and as a record in a folder.

use std::path::Path;

use anyhow::Context;
use robin_data::temporary_file::{self, Aside};
use serde_json::{Value, json};

use super::options::Output;
use super::repeats::Repeats;
use crate::environment;
use crate::terminal::{self, say};

/// The unit of a repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Step,
    Batch,
}

impl Unit {
    /// The field of its seconds.
    pub(super) fn field(self) -> &'static str {
        match self {
            Unit::Step => "seconds_per_step",
            Unit::Batch => "seconds_per_batch",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Unit::Step => "step",
            Unit::Batch => "batch",
        }
    }
}

/// The numbers that are printed for a program; `all` are the seconds of its repetitions, warm-up first.
pub(super) fn summary(unit: Unit, all: &[f64], batch: usize, peak_rss_bytes: Option<u64>) -> Value {
    let mut seconds = Repeats::measured(all).to_vec();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    json!({
        unit.field(): { "median": median, "min": seconds[0] },
        "images_per_second": batch as f64 / median,
        "peak_rss_bytes": peak_rss_bytes,
        "repetitions": seconds.len(),
    })
}

/// One measurement in words.
pub(super) fn line(name: &str, unit: Unit, result: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let seconds = &result[unit.field()];
    format!(
        "{name}: {:.4} s per {} (median of {}; best {:.4}), {:.0} images per second, peak memory {:.0} MB",
        number(&seconds["median"]),
        unit.word(),
        result["repetitions"],
        number(&seconds["min"]),
        number(&result["images_per_second"]),
        number(&result["peak_rss_bytes"]) / 1e6,
    )
}

/// Prints `result` or `text`, and keeps the result as `NAME.json` if a folder is given.
pub(super) fn publish(output: &Output, name: &str, mut result: Value, text: &str) -> anyhow::Result<()> {
    let provenance = environment().provenance(json!({ "command": command(std::env::args()) }));
    result["provenance"] = Value::Object(provenance);
    let json = serde_json::to_string_pretty(&result)? + "\n";
    let saved = output.save.as_ref().map_or(Ok(()), |folder| save(folder, name, &json));
    let shown = if output.json { json } else { format!("{text}\n") };
    let printed = terminal::deliver(format_args!("{shown}"));
    saved?;
    Ok(printed?)
}

/// Proves before anything is measured that the numbers can be kept.
pub(super) fn prepare(output: &Output) -> anyhow::Result<()> {
    let Some(folder) = &output.save else { return Ok(()) };
    std::fs::create_dir_all(folder)
        .and_then(|()| {
            temporary_file::sweep(folder);
            Aside::create(&folder.join("probe")).map(drop)
        })
        .with_context(|| format!("cannot write into {}", folder.display()))
}

fn save(folder: &Path, name: &str, json: &str) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.json"));
    temporary_file::write(&path, json.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    say!("written to {}", path.display());
    Ok(())
}

/// The command that was given, without the paths that mean something on this machine only.
pub(super) fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words = vec!["cargo xtask".to_owned()];
    let mut arguments = arguments.skip(1);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--python" | "--save" | "--weights" => drop(arguments.next()),
            "--json" => {}
            _ if ["--python=", "--save=", "--weights="].iter().any(|option| word.starts_with(option)) => {}
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// The most memory that this process has held; known on Linux only.
pub(super) fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor seconds of all threads of this process so far; known on Linux only. Other work on the machine shows less in
/// it than in the time on the wall.
pub(super) fn cpu_seconds() -> Option<f64> {
    /// The kernel's unit in this file.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split_whitespace().skip(11);
    let (user, system) = (times.next()?.parse::<f64>().ok()?, times.next()?.parse::<f64>().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}
