//! `cargo xtask status`: how far a submitted plan is.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use robin_experiments::cluster::status::{Standing, Status};
use robin_experiments::cluster::submission::Folder;
use robin_experiments::record::Kind;
use robin_report::table::duration;

use super::{Submitted, slurm};
use crate::terminal::{answers_are_watched, deliver};

/// How often `--watch` looks: a controller serves many.
const EVERY: Duration = Duration::from_secs(15);
/// Lines of a list that are printed.
const SHOWN: usize = 20;

/// Of which plan.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask status\n  cargo xtask status --watch\n\n\
    What has a record is done; of the rest Slurm is asked. Exit code 1 if a cell has failed, or nobody runs it.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    submitted: Submitted,
    /// Look again every 15 seconds, until nothing is left in the queue.
    #[arg(long)]
    watch: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = arguments.submitted.folder()?;
    loop {
        let status = Status::new(&folder, &slurm::look(&folder.submissions()?)?)?;
        let text = text(&folder, &status)?;
        // What was said before is wiped where somebody looks.
        let wipe = if arguments.watch && answers_are_watched() { "\x1b[2J\x1b[H" } else { "" };
        deliver(format_args!("{wipe}{text}"))?;
        if !arguments.watch || status.is_over() {
            let failed = status.count(|standing| matches!(standing, Standing::Failed(_)));
            let lost = status.count(|standing| matches!(standing, Standing::Lost(_)));
            if failed + lost > 0 {
                bail!("{failed} cells failed and {lost} are lost; `cargo xtask retry` submits them again");
            }
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

fn text(folder: &Folder, status: &Status) -> anyhow::Result<String> {
    let asked = folder.asked()?;
    let mut lines = vec![format!(
        "plan {}, {}, profile {}, {} submissions, in {}",
        folder.id,
        asked.items.join(" "),
        asked.profile,
        folder.submissions()?.len(),
        folder.out().display()
    )];
    for (kind, name) in
        [(None, "cells"), (Some(Kind::Network), "networks"), (Some(Kind::Evaluation), "evaluations")]
    {
        lines.push(counts(status, kind, name));
    }
    match status.seconds_left {
        Some(seconds) => {
            lines.push(format!("about {} left with as many tasks as now, by the estimate", duration(seconds)))
        }
        None if status.tasks.is_empty() => {}
        None => lines.push("no task runs now".to_owned()),
    }
    let reasons = |lost: bool| {
        status.cells.iter().filter_map(move |(line, standing)| match standing {
            Standing::Failed(reason) if !lost => Some(format!("  {}: {reason}", line.label)),
            Standing::Lost(reason) if lost => Some(format!("  {}: {reason}", line.label)),
            _ => None,
        })
    };
    list(&mut lines, "failed", reasons(false).collect());
    list(&mut lines, "lost", reasons(true).collect());
    let running = status.tasks.iter().filter(|(_, row)| row.is_running());
    let running = running.map(|(name, row)| {
        let task = row.task.map(|task| format!("_{task}")).unwrap_or_default();
        format!("  {}{task} {name} on {}, {} gone, {} left", row.job, row.nodes, row.elapsed, row.left)
    });
    list(&mut lines, "running", running.collect());
    let mut waiting: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (name, row) in status.tasks.iter().filter(|(_, row)| !row.is_running()) {
        *waiting.entry((name, &row.reason)).or_default() += 1;
    }
    let waiting = waiting.into_iter().map(|((name, reason), count)| format!("  {count} of {name}: {reason}"));
    list(&mut lines, "waiting tasks", waiting.collect());
    Ok(lines.join("\n") + "\n")
}

fn counts(status: &Status, kind: Option<Kind>, name: &str) -> String {
    let mut counts = [0usize; 6];
    let mut total = 0;
    for (line, standing) in &status.cells {
        if kind.is_none_or(|kind| kind == line.kind) {
            let place = match standing {
                Standing::Done => 0,
                Standing::Running => 1,
                Standing::Queued => 2,
                Standing::Failed(_) => 3,
                Standing::Lost(_) => 4,
                Standing::Unknown => 5,
            };
            counts[place] += 1;
            total += 1;
        }
    }
    let names = ["done", "running", "queued", "failed", "lost", "unknown"];
    let said = names.iter().zip(counts).filter(|(name, count)| *count > 0 || **name == "done");
    let said: Vec<String> = said.map(|(name, count)| format!("{count} {name}")).collect();
    format!("{name}: {} of {total}", said.join(", "))
}

fn list(lines: &mut Vec<String>, title: &str, entries: Vec<String>) {
    if entries.is_empty() {
        return;
    }
    let more = entries.len().saturating_sub(SHOWN);
    lines.push(format!("{title}:"));
    lines.extend(entries.into_iter().take(SHOWN));
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
}
