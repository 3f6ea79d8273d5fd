//! `cargo xtask report`: what `reproduce` found, as a page and as files for papers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use robin_experiments::cluster::submission::Asked;
use robin_experiments::gallery::gallery;
use robin_experiments::store::Store;
use robin_experiments::{
    Device, Figure, Gallery, ITEMS, Item, Outcome, Plan, Profile, Request, Spec, claims, stored,
};
use robin_report::Report;
use robin_report::bundle::Bundle;

use crate::environment;
use crate::terminal::answer;

/// The column whose attack the images are shown under.
const GALLERY_COLUMN: &str = "pgd20";

/// What the libraries trace while it is made: the renderer of PNG files warns of dashes of length zero, which draw nothing.
pub const USUAL_TRACES: &str = "warn,tiny_skia=error";

/// `ATTACK=N`.
///
/// # Errors
/// What it must be, if it is not.
pub fn attack_images(text: &str) -> Result<(String, usize), String> {
    let parts = text.split_once('=').and_then(|(attack, n)| Some((attack.to_owned(), n.parse().ok()?)));
    parts.ok_or_else(|| "it must be an attack and a number, as in cw=200".to_owned())
}

/// What is shown.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask reproduce table-1 --rows mnist && cargo xtask report --rows mnist\n  \
    cargo xtask report --profile quick --out results\n\n\
    Writes OUT/report/report.html, one file that needs no network, and beside it tables as Markdown and CSV and\n\
    figures as SVG and PNG. Nothing is trained or evaluated; only the images of the gallery are attacked again.")]
pub struct Arguments {
    /// Items of the paper [default: all that have a number].
    #[arg(value_name = "ITEM")]
    items: Vec<String>,
    /// Whose results: smoke, quick, night or paper.
    #[arg(long, default_value_t = Profile::Smoke)]
    profile: Profile,
    /// Only rows (dataset/model/norm) that contain one of these, separated by commas.
    #[arg(long, value_name = "FILTER")]
    rows: Option<String>,
    /// How recipes are read, like `fast`, which is not the paper's [default: the profile's way; a wrong name lists them].
    #[arg(long, value_name = "NAME")]
    reading: Option<String>,
    /// Root seeds, separated by commas [default: the profile's].
    #[arg(long, value_delimiter = ',', value_name = "SEEDS")]
    seeds: Option<Vec<u64>>,
    /// Only the first N test images for an attack, fewer than the profile has; the table says so. May be repeated.
    #[arg(long, value_name = "ATTACK=N", value_parser = attack_images)]
    attack_images: Vec<(String, usize)>,
    /// What the results were made with; it also attacks the images of the gallery.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Folder of the results.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Test images shown of each row; 0 = none.
    #[arg(long, value_name = "N", default_value_t = 4)]
    images: usize,
}

impl Arguments {
    /// The report of a submitted plan, beside its results.
    pub fn of(asked: &Asked, out: &Path) -> Result<Self, robin_experiments::Error> {
        Ok(Self {
            items: asked.items.clone(),
            profile: asked.profile.parse()?,
            rows: asked.rows.clone(),
            seeds: asked.seeds.clone(),
            reading: asked.reading.clone(),
            attack_images: asked.attack_images.clone().into_iter().collect(),
            device: asked.device.parse()?,
            out: out.to_owned(),
            data_dir: asked.data_dir.clone(),
            images: 4,
        })
    }
}

/// Makes the page and the files, and prints where the page is.
///
/// # Errors
/// Without numbers, with the command that makes some; if something cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let specs = match arguments.items.as_slice() {
        [] => ITEMS.iter().map(|(name, _)| Spec::named(name)).collect::<Result<Vec<_>, _>>()?,
        items => items.iter().map(|name| Spec::named(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let request = Request {
        profile: arguments.profile,
        rows: arguments.rows.clone(),
        // Shown where it has numbers.
        beyond: true,
        reading: arguments.reading.clone(),
        seeds: arguments.seeds.clone(),
        attack_images: arguments.attack_images.iter().cloned().collect(),
        device: arguments.device,
        data_dir: arguments.data_dir.clone(),
    };
    let plan = Plan::new(&specs, &request)?;
    let outcome = stored(&plan, &arguments.out)?;
    let environment = environment();
    let mut items = Vec::new();
    for planned in &plan.items {
        let mut item = Item::new(&plan, planned, &outcome, &environment)?;
        let (drawn, empty) = item.figures.into_iter().partition(|figure| !figure.panels.is_empty());
        item.figures = drawn;
        let empty: Vec<Figure> = empty;
        item.notes.extend(empty.iter().map(|figure| format!("{}: no numbers yet", figure.title)));
        let has_numbers = item.table.as_ref().is_some_and(|table| !table.cells.is_empty());
        if has_numbers || !item.figures.is_empty() {
            items.push(item);
        } else if !arguments.items.is_empty() {
            bail!(
                "{} has no number in {}: run `cargo xtask reproduce {} --profile {}` first, with the same --rows, \
                 --seeds and --out",
                item.name,
                arguments.out.display(),
                item.name,
                arguments.profile
            );
        }
    }
    if items.is_empty() {
        bail!(
            "no item has a number in {}: run `cargo xtask reproduce all --profile {}` first, with the same --rows, \
             --seeds and --out",
            arguments.out.display(),
            arguments.profile
        );
    }
    // Before the images are attacked: what cannot be written is known now.
    let bundle = Bundle::open(&arguments.out)?;
    let report = Report {
        title: "ROBIN: the paper's tables and figures, reproduced".to_owned(),
        profile: arguments.profile,
        provenance: provenance(&outcome),
        claims: claims::judge(&plan, &outcome)?,
        items,
        galleries: galleries(arguments, &plan, &outcome)?,
        records: outcome.records.into_values().collect(),
    };
    let page = bundle.write(&report)?;
    answer!("{}", page.display())?;
    Ok(())
}

/// Images of every row that has the attack, none twice.
fn galleries(arguments: &Arguments, plan: &Plan, outcome: &Outcome) -> anyhow::Result<Vec<Gallery>> {
    let store = Store::new(&arguments.out);
    let mut galleries: Vec<Gallery> = Vec::new();
    if arguments.images == 0 {
        return Ok(galleries);
    }
    for item in &plan.items {
        for row in 0..item.rows.len() {
            let found = gallery(plan, item, row, GALLERY_COLUMN, arguments.images, outcome, &store)?;
            if let Some(found) = found
                && !galleries.iter().any(|other| other.records == found.records && other.title == found.title)
            {
                galleries.push(found);
            }
        }
    }
    Ok(galleries)
}

/// Where the records come from: every commit and machine among them.
fn provenance(outcome: &Outcome) -> Vec<(String, String)> {
    let all = |name: &str| -> BTreeSet<&str> {
        outcome.records.values().filter_map(|record| record.provenance.get(name)?.as_str()).collect()
    };
    let joined = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join("; ");
    let finished = all("finished");
    let dates = match (finished.first(), finished.last()) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "unknown".to_owned(),
    };
    let commits = all("commit");
    vec![
        ("commit".to_owned(), if commits.is_empty() { "unknown".to_owned() } else { joined(commits) }),
        ("machine".to_owned(), joined(all("machine"))),
        ("computed".to_owned(), dates),
        ("records".to_owned(), outcome.records.len().to_string()),
    ]
}
