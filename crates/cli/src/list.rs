//! `cargo xtask list`: what can be chosen, from the lists that the libraries loop over.

use clap::{Args, ValueEnum};
use robin_aggregation::STRATEGIES;
use robin_attacks::ATTACKS;
use robin_attacks::bundle::{AUTOATTACK, AUTOATTACK_LEAST_CLASSES, autoattack};
use robin_data::DatasetName;
use robin_experiments::{ITEMS, Spec};
use robin_models::MODELS;
use serde_json::json;

use crate::external_model::print_json;
use crate::terminal::answer;

/// Which list.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask list attacks\n  cargo xtask list models --json")]
pub struct Arguments {
    /// What is listed.
    what: What,
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

/// What there are lists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Base attacks, for --attack.
    Attacks,
    /// Architectures, for --model.
    Models,
    /// Data sets that are known by name, for --dataset.
    Datasets,
    /// Which scores of an aggregate an attack maximises, for --strategy.
    Strategies,
    /// Tables, figures and sections of the paper, for `reproduce` and `report`.
    Items,
}

/// Prints the list.
///
/// # Errors
/// If it cannot be printed.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let entries = entries(arguments.what)?;
    if arguments.json {
        let named = entries.iter().map(|(name, summary)| json!({ "name": name, "summary": summary }));
        return print_json(&named.collect::<Vec<_>>());
    }
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, summary) in entries {
        answer!("{name:<width$}  {summary}")?;
    }
    Ok(())
}

/// Names, and a line on each.
pub(crate) fn entries(what: What) -> anyhow::Result<Vec<(String, String)>> {
    let owned = |(name, summary): (&str, &str)| (name.to_owned(), summary.to_owned());
    Ok(match what {
        What::Attacks => {
            let stages: Vec<&str> = autoattack().iter().map(|stage| stage.name).collect();
            let bundle = format!(
                "{} in turn, each on what the ones before have failed on; from {AUTOATTACK_LEAST_CLASSES} classes on",
                stages.join(", ")
            );
            let alone = ATTACKS.iter().map(|entry| {
                let norms: Vec<String> = entry.norms.iter().map(ToString::to_string).collect();
                (entry.name.to_owned(), format!("{} ({})", entry.summary, norms.join(", ")))
            });
            alone.chain([(AUTOATTACK.to_owned(), bundle)]).collect()
        }
        What::Models => MODELS.iter().map(|entry| owned((entry.name, entry.summary))).collect(),
        What::Datasets => DatasetName::ALL
            .iter()
            .map(|name| {
                let [channels, height, width] = name.shape();
                let (what, classes) = (name.entry().summary, name.num_classes());
                let summary = format!("{what}: images {channels} x {height} x {width}, {classes} classes");
                (name.to_string(), summary)
            })
            .collect(),
        What::Strategies => {
            STRATEGIES.iter().map(|entry| owned((entry.name.as_str(), entry.summary))).collect()
        }
        What::Items => ITEMS
            .iter()
            .map(|(name, _)| Ok(((*name).to_owned(), Spec::named(name)?.title)))
            .collect::<Result<_, robin_experiments::Error>>()?,
    })
}

/// `what` with the names of all items.
pub fn items_help(what: &str) -> String {
    let names: Vec<&str> = ITEMS.iter().map(|(name, _)| *name).collect();
    format!("{what}: {}", names.join(", "))
}

/// The ways to read recipes, by name.
pub fn readings_help() -> String {
    let readings = ITEMS.first().and_then(|(name, _)| Spec::named(name).ok()).map(|spec| spec.readings);
    let names: Vec<String> = readings.into_iter().flatten().map(|(name, _)| name).collect();
    format!(
        "How recipes are read: {} [default: the profile's way, the paper's where it names none]",
        names.join(", ")
    )
}
