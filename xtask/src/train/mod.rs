//! `cargo xtask train`: one network, or every arm of an aggregate.

mod arguments;
mod progress;

use std::io::IsTerminal;

use anyhow::{Context, bail};
use robin_experiments::training_run::{Options, Outcome, TrainingRun, Watch, execute};
use serde_json::json;

pub(crate) use arguments::Arguments;

use crate::exit::Interrupted;
use crate::{environment, interrupt};
use progress::{Bars, Lines};

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = TrainingRun::new(&arguments.request()?)?;
    run.notes.iter().for_each(|note| eprintln!("{note}"));
    run.warnings.iter().for_each(|warning| eprintln!("WARNING: {warning}"));
    let (cancel, save) = (interrupt::token()?, interrupt::save_token()?);
    let environment = environment();
    let watch: Box<dyn Watch> = match std::io::stderr().is_terminal() {
        true => Box::new(Bars::new(&run)),
        false => Box::new(Lines::new(&run)),
    };
    let options = Options {
        threads: arguments.threads,
        jobs: arguments.jobs,
        checkpoint_every: arguments.checkpoint_every()?,
        cancel: &cancel,
        save,
        watch: watch.as_ref(),
        environment: &environment,
    };
    let outcome = execute(&run, &arguments.out, &options)?;
    drop(watch);
    if outcome.cancelled {
        return Err(Interrupted.into());
    }
    print(&run, &outcome, arguments)?;
    if !outcome.failures.is_empty() {
        let names: Vec<&str> = outcome.failures.iter().map(|(name, _)| name.as_str()).collect();
        bail!("{} failed; the same command tries again", names.join(", "));
    }
    Ok(())
}

/// The outcome on standard output: a line for each network, or JSON.
fn print(run: &TrainingRun, outcome: &Outcome, arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.json {
        let networks: Vec<_> = outcome
            .records
            .iter()
            .map(|(&place, record)| json!({ "name": run.arms[place].name, "key": record.key, "results": record.results }))
            .collect();
        let failures: Vec<_> = outcome
            .failures
            .iter()
            .map(|(name, error)| json!({ "name": name, "error": chain(error) }))
            .collect();
        let whole = json!({
            "settings": run.settings, "networks": networks, "failures": failures, "warnings": run.warnings,
        });
        println!("{}", serde_json::to_string_pretty(&whole).context("cannot write the outcome as JSON")?);
        return Ok(());
    }
    for (&place, record) in &outcome.records {
        let share = |value: &serde_json::Value| match value.as_f64() {
            Some(share) => format!("{:.2}%", 100.0 * share),
            None => "not measured".to_owned(),
        };
        let (results, set) = (&record.results, &record.results["training_set"]);
        print!(
            "{}: training set clean {}, attacked {} (n = {})",
            run.arms[place].name,
            share(&set["clean"]["accuracy"]),
            share(&set["worst"]["accuracy"]),
            set["clean"]["n"]
        );
        if let Some(labels) = results["training_set_images"]["missing_labels"].as_array() {
            let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
            print!(", none of them of label {}: this says nothing about it", labels.join(", "));
        }
        if let Some(epoch) = results["best"]["epoch"].as_u64() {
            let held_out = &results["best"]["validation"];
            print!(
                "; best epoch {epoch}, held out clean {}, attacked {}",
                share(&held_out["clean_accuracy"]),
                share(&held_out["robust_accuracy"])
            );
        }
        println!();
    }
    let kept = outcome.records.len() - outcome.trained;
    eprintln!("{} trained now, {kept} kept; all in {}", outcome.trained, arguments.out.display());
    Ok(())
}

/// An error with its causes on one line.
pub(super) fn chain(error: &robin_experiments::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}
