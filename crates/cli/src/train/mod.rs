//! `cargo xtask train`: one network, or every arm of an aggregate.

mod arguments;
mod progress;
mod warnings;

use anyhow::{Context, bail};
use robin_experiments::training_run::{TrainingRun, execute};
use robin_experiments::{Observer, Options, Outcome};
use serde_json::json;

pub use arguments::Arguments;
pub(crate) use warnings::WARNINGS;

use crate::exit::Interrupted;
use crate::terminal::{answer, is_watched, say};
use crate::{environment, interrupt};
use progress::{Bars, Lines};

/// Trains, or continues, and prints how the networks do.
///
/// # Errors
/// As [`TrainingRun::new`] and [`execute()`]; [`Interrupted`]; if a network failed.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let run = TrainingRun::new(&arguments.request()?)?;
    run.notes.iter().for_each(|note| say!("{note}"));
    run.warnings.iter().for_each(|warning| say!("WARNING: {warning}"));
    let (cancel, save) = (interrupt::token()?, interrupt::save_token()?);
    let environment = environment();
    let observer: Box<dyn Observer> = match is_watched() {
        true => Box::new(Bars::new()),
        false => Box::new(Lines),
    };
    let options = Options {
        threads: arguments.threads,
        jobs: arguments.jobs,
        batch_size: Options::BATCH,
        checkpoint_every: arguments.checkpoint_every()?,
        cancel: &cancel,
        save,
        observer: observer.as_ref(),
        environment: &environment,
    };
    let outcome = execute(&run, &arguments.out, &options)?;
    drop(observer);
    if outcome.cancelled {
        return Err(Interrupted.into());
    }
    let printed = print(&run, &outcome, arguments);
    if !outcome.failures.is_empty() {
        let names: Vec<&str> = outcome.failures.iter().map(|(name, _)| name.as_str()).collect();
        bail!("{} failed; the same command tries again", names.join(", "));
    }
    printed
}

/// The outcome on standard output: a line for each network, or JSON.
fn print(run: &TrainingRun, outcome: &Outcome, arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.json {
        let networks: Vec<_> = outcome
            .records
            .iter()
            .map(|(&place, record)| json!({ "name": run.cells[place].label, "key": record.key, "results": record.results }))
            .collect();
        let failures: Vec<_> = outcome
            .failures
            .iter()
            .map(|(name, error)| json!({ "name": name, "error": error.chain() }))
            .collect();
        let whole = json!({
            "settings": run.settings, "networks": networks, "failures": failures, "warnings": run.warnings,
        });
        let text = serde_json::to_string_pretty(&whole).context("cannot write the outcome as JSON")?;
        return Ok(answer!("{text}")?);
    }
    for (&place, record) in &outcome.records {
        let share = |value: &serde_json::Value| match value.as_f64() {
            Some(share) => format!("{:.2}%", 100.0 * share),
            None => "not measured".to_owned(),
        };
        let (results, set) = (&record.results, &record.results["training_set"]);
        let mut line = format!(
            "{}: training set clean {}, attacked {} (n = {})",
            run.cells[place].label,
            share(&set["clean"]["accuracy"]),
            share(&set["worst"]["accuracy"]),
            set["clean"]["n"]
        );
        if let Some(labels) = results["training_set_images"]["missing_labels"].as_array() {
            let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
            line += &format!(", none of them of label {}: this says nothing about it", labels.join(", "));
        }
        if let Some(epoch) = results["best_epoch"].as_u64() {
            let found = results["epochs"].as_array().into_iter().flatten().find(|of| of["epoch"] == epoch);
            let held_out = found.map_or(&serde_json::Value::Null, |of| &of["validation"]);
            line += &format!(
                "; best epoch {epoch}, held out clean {}, attacked {}",
                share(&held_out["clean_accuracy"]),
                share(&held_out["robust_accuracy"])
            );
        }
        answer!("{line}")?;
    }
    let kept = outcome.records.len() - outcome.computed;
    say!("{} trained now, {kept} kept; all in {}", outcome.computed, arguments.out.display());
    Ok(())
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
