//! What was found, as JSON and as text.

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::model_under_test::ModelUnderTest;
use super::{Check, speed};
use crate::environment;
use crate::terminal::say;

/// One comparison.
#[derive(Debug)]
pub(super) struct Finding {
    /// What was compared.
    pub(super) what: String,
    /// How far it is off, and how far it may be.
    pub(super) found: f64,
    pub(super) allowed: f64,
}

impl Finding {
    pub(super) fn passes(&self) -> bool {
        // Not so if it is no number.
        self.found <= self.allowed
    }
}

/// Written anew after everything that was found: whatever happens then, what is known so far is there.
pub(super) struct Report {
    folder: PathBuf,
    json: Value,
    text: String,
    failed: usize,
    started: Instant,
}

impl Report {
    /// A report in `folder`, which is there.
    pub(super) fn new(subject: &ModelUnderTest, folder: &Path) -> anyhow::Result<Self> {
        let provenance = environment().provenance(json!({}));
        let mut text = format!("gpu-check on {} ({})\n", subject.name, subject.description);
        writeln!(text, "commit {}, {}", provenance["commit"], provenance["machine"])?;
        let json = json!({
            "device": subject.name,
            "description": subject.description,
            "is_gpu": subject.is_gpu(),
            "cudnn": cfg!(feature = "cudnn"),
            "provenance": provenance,
            "checks": [],
            "speed": [],
        });
        say!("{}", text.trim_end());
        let mut report = Self { folder: folder.to_owned(), json, text, failed: 0, started: Instant::now() };
        report.write()?;
        Ok(report)
    }

    /// Runs a check; one that fails, panics or cannot be run does not keep the others from running.
    pub(super) fn add(&mut self, check: Check, subject: &ModelUnderTest) -> anyhow::Result<()> {
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (check.work)(subject)));
        let result = result.unwrap_or_else(|_| bail!("it panicked: see above"));
        let seconds = started.elapsed().as_secs_f64();
        let (verdict, lines, findings) = match &result {
            Ok(findings) => {
                let bad: Vec<&Finding> = findings.iter().filter(|finding| !finding.passes()).collect();
                let worst =
                    findings.iter().max_by(|a, b| (a.found / a.allowed).total_cmp(&(b.found / b.allowed)));
                let shown: Vec<&Finding> =
                    if bad.is_empty() { worst.into_iter().collect() } else { bad.clone() };
                let verdict = if bad.is_empty() && !findings.is_empty() { "pass" } else { "FAIL" };
                let lines: Vec<String> = shown
                    .iter()
                    .map(|f| format!("{}: {:.3e}, allowed {:.3e}", f.what, f.found, f.allowed))
                    .collect();
                let all = findings.iter().map(|f| {
                    json!({ "what": f.what, "found": f.found, "allowed": f.allowed, "passes": f.passes() })
                });
                (verdict, lines, all.collect())
            }
            Err(error) => ("FAIL", vec![format!("{error:#}")], Vec::new()),
        };
        self.failed += usize::from(verdict == "FAIL");
        let error = result.as_ref().err().map(|error| format!("{error:#}"));
        self.push(
            "checks",
            json!({
                "name": check.name,
                "verdict": verdict.to_lowercase(),
                "seconds": seconds,
                "findings": Value::Array(findings),
                "error": error,
            }),
        );
        self.line(&format!("{verdict}  {} ({seconds:.1} s)", check.name));
        lines.iter().for_each(|line| self.line(&format!("      {line}")));
        self.write()
    }

    /// Measures speed, on a GPU only.
    pub(super) fn measure(
        &mut self,
        subject: &ModelUnderTest,
        deadline: Instant,
        python: Option<&Path>,
    ) -> anyhow::Result<()> {
        let Some(ordinal) = subject.ordinal() else {
            self.line("no speed is measured in a rehearsal");
            return self.write();
        };
        for case in speed::cases() {
            let name = case.to_string();
            if Instant::now() > deadline {
                self.line(&format!("left out, the time is up: {name}"));
                self.push("speed", json!({ "name": name, "left_out": true }));
                continue;
            }
            match case.measure(ordinal, python) {
                Ok((result, line)) => {
                    self.line(&line);
                    self.push("speed", result);
                }
                Err(error) => {
                    self.failed += 1;
                    self.line(&format!("FAIL  {name}: {error:#}"));
                    self.push("speed", json!({ "name": name, "error": format!("{error:#}") }));
                }
            }
            self.write()?;
        }
        self.write()
    }

    pub(super) fn failed(&self) -> usize {
        self.failed
    }

    fn write(&mut self) -> anyhow::Result<()> {
        self.json["failed"] = self.failed.into();
        self.json["seconds"] = self.started.elapsed().as_secs_f64().into();
        let json = serde_json::to_string_pretty(&self.json)? + "\n";
        for (name, content) in [("gpu-check.json", &json), ("gpu-check.txt", &self.text)] {
            let path = self.folder.join(name);
            robin_data::temporary_file::write(&path, content.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn push(&mut self, list: &str, value: Value) {
        if let Some(list) = self.json[list].as_array_mut() {
            list.push(value);
        }
    }

    fn line(&mut self, line: &str) {
        say!("{line}");
        self.text.push_str(line);
        self.text.push('\n');
    }
}
