//! Slurm's own programs.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};

use crate::terminal::say;
use anyhow::{Context, bail};
use robin_experiments::cluster::queue::{self, Row};
use robin_experiments::cluster::status::Said;
use robin_experiments::cluster::submission::Submission;

/// Indices of an array go to one less than this where nothing else is said.
const USUAL_MAX_ARRAY_SIZE: usize = 1001;

fn call(program: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Ok(output),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "{program} is not there: this machine has no Slurm, or its programs are not in PATH. `--dry-run` shows what \
             would be submitted; `cargo xtask reproduce` needs no Slurm"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot run {program}")),
    }
}

/// What a program says; its own words if it fails.
fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = call(program, arguments)?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Tasks that an array may have; what is usual where there is no Slurm.
pub(super) fn max_tasks() -> usize {
    let config = said("scontrol", &["show", "config"]).unwrap_or_default();
    let size = config
        .lines()
        .find_map(|line| line.strip_prefix("MaxArraySize")?.split('=').nth(1)?.trim().parse().ok());
    size.unwrap_or(USUAL_MAX_ARRAY_SIZE).saturating_sub(1).max(1)
}

/// Whether there is a Slurm that takes jobs.
pub(super) fn answers() -> anyhow::Result<()> {
    said("sbatch", &["--version"])?;
    said("squeue", &["-h", "-n", "nobody"]).map(drop)
}

/// Hands a script over, to run after the jobs `after` have ended: the job's number.
pub(super) fn sbatch(script: &Path, name: &str, after: &[String]) -> anyhow::Result<String> {
    let arguments = sbatch_arguments(script, after);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match said("sbatch", &words) {
        // With several clusters the number is followed by one's name.
        Ok(text) => Ok(text.trim().split(';').next().unwrap_or_default().to_owned()),
        // A controller may take a job and not say so in time: nothing is handed over twice.
        Err(error) => match said("squeue", &["-h", "-n", name, "-o", "%F"]).map(|text| first_word(&text)) {
            Ok(Some(job)) => Ok(job),
            _ => Err(error),
        },
    }
}

/// The words after `sbatch`.
pub(super) fn sbatch_arguments(script: &Path, after: &[String]) -> Vec<String> {
    let mut arguments = vec!["--parsable".to_owned()];
    if !after.is_empty() {
        arguments.push(format!("--dependency=afterany:{}", after.join(":")));
    }
    arguments.push(script.display().to_string());
    arguments
}

fn first_word(text: &str) -> Option<String> {
    text.split_whitespace().next().map(str::to_owned)
}

/// What Slurm says of the jobs of `submissions`; that it does not answer is no error, and said on standard error.
pub(super) fn look(submissions: &[Submission]) -> anyhow::Result<Said> {
    let mut jobs = Vec::new();
    for submission in submissions {
        jobs.extend(submission.jobs()?.into_values());
    }
    if jobs.is_empty() {
        return Ok(Said { queue: Some(Vec::new()), ..Said::default() });
    }
    let list = jobs.join(",");
    let queue = match rows(&list) {
        Ok(rows) => Some(rows),
        Err(error) => {
            say!("Slurm does not answer, so this is from the records alone: {error:#}");
            None
        }
    };
    // Without accounts it fails, and then nothing is known of what has ended.
    let accounts = said("sacct", &[&queue::SACCT[..], &["-j", &list]].concat());
    let ended = queue::ended(&accounts.unwrap_or_default());
    Ok(Said { queue, ended })
}

fn rows(jobs: &str) -> anyhow::Result<Vec<Row>> {
    let output = call("squeue", &[&queue::SQUEUE[..], &["-j", jobs]].concat())?;
    let fault = String::from_utf8_lossy(&output.stderr);
    // It forgets jobs some minutes after their end.
    if !output.status.success() && !fault.contains("Invalid job id") {
        bail!("squeue: {}", fault.trim());
    }
    Ok(queue::rows(&String::from_utf8_lossy(&output.stdout)))
}

/// Ends jobs, whatever they are doing.
pub(super) fn scancel(jobs: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = jobs.iter().map(String::as_str).collect();
    said("scancel", &words).map(drop)
}
