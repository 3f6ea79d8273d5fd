//! `cargo xtask reproduce`: one item of the paper, from images to the table.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use robin_experiments::{
    Item, Observer, Options, Outcome, Plan, Preview, Profile, State, Writer, claims, reproduce,
};
use robin_report::{figure_text, markdown, summary, table::duration};
use serde_json::{Value, json};

use crate::exit::Interrupted;
use crate::live::LiveReport;
use crate::progress::{Bars, Lines};
use crate::selection::Selection;
use crate::terminal::{answer, is_watched, say, screen};
use crate::{environment, interrupt, report, terminal};

/// Headings of the options in the help.
const HOW: &str = "How it runs";
const RESULTS: &str = "Results";

/// What can be chosen; the defaults prove the whole path in minutes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask reproduce table-1\n  \
    cargo xtask reproduce table-1 --profile quick --rows mnist/cnn2/linf --dry-run\n\n\
    Interrupt it with Ctrl-C, and continue with the same command: finished cells are not run again.\n\
    SIGUSR1 writes checkpoints of the networks in training at once.\n\
    Exit codes: 0 done, 1 a cell failed, 2 wrong usage, 130 interrupted.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Threads that compute [default: one per core]. Results do not depend on it.
    #[arg(long, help_heading = HOW, value_name = "N")]
    threads: Option<usize>,
    /// Cells that run side by side, at most one per thread [default: that]. Results do not depend on it.
    #[arg(long, help_heading = HOW, value_name = "N")]
    jobs: Option<usize>,
    /// Examples evaluated together. Results do not depend on it.
    #[arg(long, help_heading = HOW, value_name = "N", default_value_t = Options::BATCH)]
    batch: usize,
    /// Folder of records, weights and tables.
    #[arg(long, help_heading = RESULTS, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Print what would be done and how long it would take, and do nothing.
    #[arg(long, help_heading = HOW)]
    dry_run: bool,
    /// Print the table as JSON, and nothing else, on standard output.
    #[arg(long, help_heading = RESULTS)]
    json: bool,
}

impl Arguments {
    /// The plan of `items`.
    #[cfg(test)]
    pub(crate) fn plan(&self, items: &[&str]) -> Result<Plan, robin_experiments::Error> {
        self.selection.plan(items)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // One plan for all: what several items need is done once, and a mistake in the last item costs no night.
    let plan = arguments.selection.plan(&arguments.selection.items())?;
    if arguments.dry_run {
        return preview(&plan, arguments);
    }
    let (cancel, save) = (interrupt::token()?, interrupt::save_token()?);
    let environment = environment();
    let bars: Box<dyn Observer> = match is_watched() {
        true => Box::new(Bars::new(&plan)),
        false => Box::new(Lines::new(&plan)),
    };
    let observer = LiveReport::new(bars.as_ref(), &arguments.out, plan.profile);
    let options = Options {
        threads: arguments.threads,
        jobs: arguments.jobs,
        batch_size: arguments.batch,
        checkpoint_every: Options::CHECKPOINT_EVERY,
        cancel: &cancel,
        save,
        observer: &observer,
        environment: &environment,
    };
    let (outcome, writer) = reproduce(&plan, &arguments.out, &options)?;
    drop(observer);
    drop(bars);
    if outcome.cancelled {
        return Err(Interrupted.into());
    }
    let items = plan
        .items
        .iter()
        .map(|item| Item::new(&plan, item, &outcome, &environment))
        .collect::<Result<Vec<_>, _>>()?;
    // Each whatever becomes of the others: what was computed is shown, and what can be saved is saved.
    let saved: Vec<anyhow::Result<Vec<PathBuf>>> =
        items.iter().map(|item| save_item(item, plan.profile, &writer)).collect();
    say!("{} cells computed now", outcome.computed);
    for (label, error) in outcome.failures.iter().take(MOST_FAILURES) {
        say!("failed: {label}: {}", error.chain());
    }
    if let Some(more) = outcome.failures.len().checked_sub(MOST_FAILURES + 1) {
        say!("and {} more cells failed", more + 1);
    }
    let printed = match arguments.json {
        true => print_json(&items),
        false => show(&items, &plan, &outcome),
    };
    let saved = saved.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
    if let Some(files) = named(&saved) {
        say!("Files: {files}; `cargo xtask report` makes a page of them.");
    }
    match outcome.failures.len() {
        0 => printed,
        failed => bail!("{failed} cells failed; the same command tries them again"),
    }
}

/// Failures that are said one by one; records say the others, and the same command tries them all again.
const MOST_FAILURES: usize = 5;

/// Writes what [`save_item`] does, and says where.
pub(crate) fn write_files(item: &Item, profile: Profile, writer: &Writer) -> anyhow::Result<()> {
    for path in save_item(item, profile, writer)? {
        say!("written to {} and .json", path.display());
    }
    Ok(())
}

/// Writes an item's table, if no number of it is missing, and its figures, as JSON and as text: the paths of the texts.
fn save_item(item: &Item, profile: Profile, writer: &Writer) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut write = |name: &str, json: String, text: String| -> anyhow::Result<()> {
        let file = format!("{name}-{profile}.json");
        if is_of_more(&std::fs::read(writer.store().folder().join(&file)).unwrap_or_default(), &json) {
            say!(
                "{file}: held rows, attacks or seeds that this command does not ask for; their records are kept"
            );
        }
        writer.save_report(&file, &json)?;
        paths.push(writer.save_report(&format!("{name}-{profile}.md"), &text)?);
        Ok(())
    };
    if let Some(table) = item.table.as_ref().filter(|table| table.run.missing == 0) {
        write(&item.name, json_text(table)?, markdown(table))?;
    }
    // A figure that is drawn from a table may have its name.
    for figure in item.figures.iter().filter(|figure| item.table.is_none() || figure.id != item.name) {
        write(&figure.id, json_text(figure)?, figure_text(figure))?;
    }
    Ok(paths)
}

/// Whether a table that is about to be replaced has numbers that the new one has not: records are kept for ever, and a
/// table is what the last command asked for.
fn is_of_more(old: &[u8], new: &str) -> bool {
    let numbers = |table: &Value| -> BTreeSet<String> {
        let cells = table["cells"].as_array().cloned().unwrap_or_default();
        let names = |cell: &Value| {
            ["dataset", "model", "norm", "row", "classifier", "attack", "epsilon"]
                .map(|name| cell[name].to_string())
        };
        let seeds = table["run"]["seeds"].as_array().cloned().unwrap_or_default();
        let of_seed = |seed: Value| cells.iter().map(move |cell| format!("{seed} {:?}", names(cell)));
        seeds.into_iter().flat_map(of_seed).collect()
    };
    let read = |text: &[u8]| serde_json::from_slice(text).map(|table| numbers(&table)).unwrap_or_default();
    !read(old).is_subset(&read(new.as_bytes()))
}

/// The files of `paths` in one line, as many as fit.
fn named(paths: &[PathBuf]) -> Option<String> {
    const MOST: usize = 3;
    let names: Vec<String> = paths.iter().take(MOST).map(|path| path.display().to_string()).collect();
    let more = if paths.len() > MOST { format!(" and {} more", paths.len() - MOST) } else { String::new() };
    (!names.is_empty()).then(|| format!("{}{more}, each with .json beside it", names.join(", ")))
}

/// Every item as it fits the terminal, and last what it comes to.
fn show(items: &[Item], plan: &Plan, outcome: &Outcome) -> anyhow::Result<()> {
    let screen = screen();
    for item in items {
        match &item.table {
            Some(table) => answer!("{}", summary::table(table, screen))?,
            None => {
                for figure in &item.figures {
                    answer!("{}", summary::figure(figure, screen))?;
                }
            }
        }
    }
    let forest = report::finding(plan, outcome)?;
    let missing = items.iter().filter_map(|item| item.table.as_ref()).map(|table| table.run.missing).sum();
    let [finding, claims, comparability] =
        summary::verdict(&forest, &claims::judge(plan, outcome)?, plan.profile, missing);
    for line in [finding, claims, comparability] {
        answer!("{line}")?;
    }
    Ok(())
}

/// One table, or all items as one list; of an item with a table that alone.
fn print_json(items: &[Item]) -> anyhow::Result<()> {
    let mut values = Vec::new();
    for item in items {
        match &item.table {
            Some(table) => values.push(serde_json::to_value(table)?),
            None => {
                for figure in &item.figures {
                    values.push(serde_json::to_value(figure)?);
                }
            }
        }
    }
    match &values[..] {
        [one] => terminal::deliver(format_args!("{}", json_text(one)?))?,
        all => terminal::deliver(format_args!("{}", json_text(&all)?))?,
    }
    Ok(())
}

fn json_text(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write the outcome as JSON")? + "\n")
}

fn preview(plan: &Plan, arguments: &Arguments) -> anyhow::Result<()> {
    let preview = Preview::new(plan, &arguments.out, arguments.threads)?;
    let state = |state| match state {
        State::Done => "done",
        State::Stale => "stale",
        State::Missing => "missing",
    };
    if arguments.json {
        let cells: Vec<_> = preview
            .cells
            .iter()
            .map(|(label, found)| json!({ "cell": label, "state": state(*found) }))
            .collect();
        let whole = json!({
            "items": plan.items.iter().map(|item| &item.item).collect::<Vec<_>>(),
            "profile": plan.profile.to_string(),
            "cells": cells,
            "by_item": preview.items.iter().map(|of| json!({
                "item": of.item, "cells": of.cells, "to_run": of.to_run, "stale": of.stale, "seconds": of.seconds,
            })).collect::<Vec<_>>(),
            "to_run": preview.to_run,
            "seconds": preview.seconds,
            "threads": preview.threads,
            "bytes": preview.bytes,
        });
        return Ok(answer!("{}", serde_json::to_string_pretty(&whole)?)?);
    }
    // What several items share is said once.
    let mut said = BTreeSet::new();
    for item in &plan.items {
        answer!("{}, profile {}, device {}", item.title, plan.profile, plan.device)?;
        let rows = item.rows.iter().map(|row| match row.shrunk.is_empty() {
            true => format!("  {}: nothing shrunk", row.row.label()),
            false => format!("  {}: {}", row.row.label(), row.shrunk.join("; ")),
        });
        let studied = item.study.iter().flat_map(|study| &study.shrunk);
        let rest =
            studied.chain(item.shrunk_attacks.iter().map(|(_, how)| how)).map(|line| format!("  {line}"));
        for line in rows.chain(rest).filter(|line| said.insert(line.clone())).collect::<Vec<_>>() {
            answer!("{line}")?;
        }
    }
    // Cell by cell it is in `--json`.
    for of in &preview.items {
        let stale = if of.stale > 0 {
            format!(", {} of them made with other settings", of.stale)
        } else {
            String::new()
        };
        answer!(
            "  {:<12} {:>5} cells, {:>5} to run{stale}: about {}",
            of.item,
            of.cells,
            of.to_run,
            duration(of.seconds)
        )?;
    }
    answer!(
        "{} cells, {} to run: about {} on {} threads (passes of attack and training timed just now on one batch \
         of each network, every thread busy), {:.1} MB at most",
        preview.cells.len(),
        preview.to_run,
        duration(preview.seconds),
        preview.threads,
        preview.bytes as f64 / 1e6,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_replaces_other_numbers_says_so() {
        let table = |rows: &[&str], seeds: &[u64]| {
            let cells: Vec<_> = rows.iter().map(|row| json!({ "row": row, "attack": "pgd20" })).collect();
            json!({ "cells": cells, "run": { "seeds": seeds } }).to_string()
        };
        let new = table(&["a", "b"], &[0]);
        for (old, more) in [
            (table(&["a"], &[0]), false),
            (table(&["b", "a"], &[0]), false),
            (table(&["c"], &[0]), true),
            (table(&["a"], &[0, 1]), true),
            (String::new(), false),
            ("no table".to_owned(), false),
        ] {
            assert_eq!(is_of_more(old.as_bytes(), &new), more, "{old}");
        }
    }
}
