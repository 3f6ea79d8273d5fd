//! `cargo xtask reproduce`: one item of the paper, from images to the table.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use robin_experiments::{
    Error, Figure, ITEMS, Observer, Options, Plan, Preview, Profile, Request, Spec, State, Table, Writer,
    reproduce, study,
};
use robin_report::{markdown, table::duration};
use serde_json::json;

use crate::device::DeviceArguments;
use crate::exit::Interrupted;
use crate::figures;
use crate::progress::{Bars, Lines};
use crate::{environment, interrupt};

/// What can be chosen; the defaults prove the whole path in minutes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask reproduce table-1\n  \
    cargo xtask reproduce table-1 --profile quick --rows mnist/cnn2/linf --dry-run\n\n\
    Interrupt it with Ctrl-C, and continue with the same command: finished cells are not run again.\n\
    Exit codes: 0 done, 1 a cell failed, 2 wrong usage, 130 interrupted.")]
pub(crate) struct Arguments {
    /// Items of the paper, or `all`.
    #[arg(required = true, value_name = "ITEM", value_parser = item)]
    items: Vec<String>,
    /// How much is done: smoke, quick or paper.
    #[arg(long, default_value_t = Profile::Smoke)]
    profile: Profile,
    /// Only rows (dataset/model/norm) that contain one of these, separated by commas.
    #[arg(long, value_name = "FILTER")]
    rows: Option<String>,
    #[command(flatten)]
    device: DeviceArguments,
    /// Threads that compute [default: one per core]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Cells that run side by side, at most one per thread [default: that]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Examples evaluated together. Results do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch: usize,
    /// Root seeds, separated by commas [default: the profile's].
    #[arg(long, value_delimiter = ',', value_name = "SEEDS")]
    seeds: Option<Vec<u64>>,
    /// Folder of records, weights and tables.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print what would be done and how long it would take, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the table as JSON, and nothing else, on standard output.
    #[arg(long)]
    json: bool,
}

fn item(name: &str) -> Result<String, Error> {
    match name {
        "all" => Ok(name.to_owned()),
        _ => Spec::named(name).map(|spec| spec.item),
    }
}

impl Arguments {
    /// The plan of `items`.
    pub(crate) fn plan(&self, items: &[&str]) -> Result<Plan, Error> {
        let request = Request {
            profile: self.profile,
            rows: self.rows.clone(),
            seeds: self.seeds.clone(),
            device: self.device.device()?,
            data_dir: self.data_dir.clone(),
        };
        let specs = items.iter().map(|item| Spec::named(item)).collect::<Result<Vec<_>, _>>()?;
        Plan::new(&specs, &request)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = arguments.items.iter().any(|item| item == "all");
    let mut items: Vec<&str> = Vec::new();
    for item in arguments.items.iter().map(String::as_str) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    if all {
        items = ITEMS.iter().map(|(name, _)| *name).collect();
    }
    // One plan for all: what several items need is done once, and a mistake in the last item costs no night.
    let plan = arguments.plan(&items)?;
    if arguments.dry_run {
        return preview(&plan, arguments);
    }
    let cancel = interrupt::token()?;
    let environment = environment();
    let observer: Box<dyn Observer> = match std::io::stderr().is_terminal() {
        true => Box::new(Bars::new(&plan)),
        false => Box::new(Lines::new(&plan)),
    };
    let options = Options {
        threads: arguments.threads,
        jobs: arguments.jobs,
        batch_size: arguments.batch,
        cancel: &cancel,
        observer: observer.as_ref(),
        environment: &environment,
    };
    let (outcome, writer) = reproduce(&plan, &arguments.out, &options)?;
    drop(observer);
    if outcome.cancelled {
        return Err(Interrupted.into());
    }
    let tables = plan
        .items
        .iter()
        .filter(|item| item.study.is_none())
        .map(|item| Table::new(&plan, item, &outcome, &environment))
        .collect::<Result<Vec<_>, _>>()?;
    let mut figures = Vec::new();
    for item in &plan.items {
        figures.extend(study::figures(&plan, item, &outcome)?);
    }
    for (label, error) in &outcome.failures {
        eprintln!("failed: {label}: {}", chain(error));
    }
    for table in &tables {
        save(table, &writer)?;
    }
    for figure in &figures {
        let name = format!("{}-{}", figure.id, plan.profile);
        writer.save_report(&format!("{name}.json"), &json_text(figure)?)?;
        let path = writer.save_report(&format!("{name}.md"), &figures::text(figure))?;
        eprintln!("written to {} and .json", path.display());
    }
    eprintln!("{} cells computed now", outcome.computed);
    print(&tables, &figures, arguments)?;
    match outcome.failures.len() {
        0 => Ok(()),
        failed => bail!("{failed} cells failed; the same command tries them again"),
    }
}

/// Writes a table as JSON and as text, unless a number of it is missing.
fn save(table: &Table, writer: &Writer) -> anyhow::Result<()> {
    if table.run.missing > 0 {
        return Ok(());
    }
    let name = format!("{}-{}", table.item, table.profile);
    writer.save_report(&format!("{name}.json"), &json_text(table)?)?;
    let path = writer.save_report(&format!("{name}.md"), &markdown(table))?;
    eprintln!("written to {} and .json", path.display());
    Ok(())
}

/// One table or figure, or all of them as one list, tables first.
fn print(tables: &[Table], figures: &[Figure], arguments: &Arguments) -> anyhow::Result<()> {
    if !arguments.json {
        let texts = tables.iter().map(markdown).chain(figures.iter().map(figures::text));
        print!("{}", texts.collect::<Vec<_>>().join("\n"));
        return Ok(());
    }
    let mut all = tables.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
    all.extend(figures.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?);
    match &all[..] {
        [one] => print!("{}", json_text(one)?),
        all => print!("{}", json_text(&all)?),
    }
    Ok(())
}

fn json_text(value: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write the table as JSON")? + "\n")
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
            "to_run": preview.to_run,
            "seconds": preview.seconds,
            "threads": preview.threads,
            "bytes": preview.bytes,
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    for item in &plan.items {
        println!("{}, profile {}, device {}", item.title, plan.profile, plan.device);
        for row in &item.rows {
            let shrunk =
                if row.shrunk.is_empty() { "nothing shrunk".to_owned() } else { row.shrunk.join("; ") };
            println!("{}: {shrunk}", row.row.label());
        }
        for line in item.study.iter().flat_map(|study| &study.shrunk) {
            println!("{line}");
        }
        for line in &item.shrunk_attacks {
            println!("{line}");
        }
    }
    for (label, found) in &preview.cells {
        println!("  {:<8} {label}", state(*found));
    }
    println!(
        "{} cells, {} to run: about {} on {} threads (passes of attack and training timed just now on one batch \
         of each network, every thread busy), {:.1} MB at most",
        preview.cells.len(),
        preview.to_run,
        duration(preview.seconds),
        preview.threads,
        preview.bytes as f64 / 1e6,
    );
    Ok(())
}
