//! `cargo xtask report`: what `reproduce` found, as a page and as files for papers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use robin_experiments::claims::{self, Forest, forest};
use robin_experiments::cluster::submission::Asked;
use robin_experiments::gallery::gallery;
use robin_experiments::store::Store;
use robin_experiments::{
    Device, Figure, Gallery, ITEMS, Item, Outcome, Plan, Profile, Request, Spec, stored, was_asked_for,
};
use robin_report::bundle::Bundle;
use robin_report::{Live, LiveItem, LiveNetwork, Report};

use crate::list::{items_help, readings_help};
use crate::terminal::{answer, say};
use crate::{environment, interrupt, live};

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
    cargo xtask report --profile quick --out results\n  \
    cargo xtask report --watch\n\n\
    Writes OUT/report/report.html, one file that needs no network, and beside it the finding as forest.svg, tables as\n\
    Markdown and CSV and figures as SVG and PNG. Nothing is trained or evaluated; only the images of the gallery are attacked again.")]
pub struct Arguments {
    #[arg(value_name = "ITEM", help = items_help("Items of the paper [default: those that were reproduced]"))]
    items: Vec<String>,
    /// Whose results: smoke, quick, night or paper.
    #[arg(long, default_value_t = Profile::Smoke)]
    profile: Profile,
    /// Only rows (dataset/model/norm) that contain one of these, separated by commas.
    #[arg(long, value_name = "FILTER")]
    rows: Option<String>,
    #[arg(long, value_name = "NAME", help = readings_help())]
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
    /// Make the page again and again while `reproduce` runs in another terminal, until Ctrl-C; the page loads itself again.
    #[arg(long)]
    watch: bool,
    /// Seconds between two pages of --watch.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600), requires = "watch")]
    every: u64,
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
            watch: false,
            every: 10,
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
    if arguments.watch {
        return watch(arguments, &plan);
    }
    let outcome = stored(&plan, &arguments.out)?;
    let items = items(arguments, &plan, &outcome)?;
    // Before the images are attacked: what cannot be written is known now.
    let bundle = Bundle::open(&arguments.out)?;
    let names: Vec<String> = items.shown.iter().map(|item| item.name.clone()).collect();
    let report = report(&plan, outcome, items, |outcome| galleries(arguments, &plan, &names, outcome))?;
    Ok(answer!("{}", bundle.write(&report)?.display())?)
}

/// Makes the page again and again.
fn watch(arguments: &Arguments, plan: &Plan) -> anyhow::Result<()> {
    let bundle = Bundle::open(&arguments.out)?;
    let cancel = interrupt::token()?;
    let mut told = false;
    while !cancel.is_cancelled() {
        let outcome = stored(plan, &arguments.out)?;
        let Items { shown, more } = all_items(plan, &outcome, arguments)?;
        let live = Some(progress(arguments, plan, &outcome, &shown));
        let mut report = report(plan, outcome, Items { shown, more }, |_| Ok(Vec::new()))?;
        report.live = live;
        let page = bundle.write(&report)?;
        if !told {
            answer!("{}", page.display())?;
            say!("made again every {} s until Ctrl-C", arguments.every);
            told = true;
        }
        // In short sleeps, so that Ctrl-C is heard.
        for _ in 0..arguments.every * 5 {
            if !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
    Ok(())
}

/// What is shown, and the titles of what could be added.
struct Items {
    shown: Vec<Item>,
    more: Vec<String>,
}

/// Items with numbers that were asked for, here or of `reproduce`; an error if there is none, or one that was named has none.
fn items(arguments: &Arguments, plan: &Plan, outcome: &Outcome) -> anyhow::Result<Items> {
    let advice = |item: &str| {
        format!(
            "in {}: run `cargo xtask reproduce {item} --profile {}` first, with the same --rows, --seeds and --out",
            arguments.out.display(),
            arguments.profile
        )
    };
    let found = all_items(plan, outcome, arguments)?;
    for name in &arguments.items {
        if !found.shown.iter().any(|item| item.name == *name) {
            bail!("{name} has no number {}", advice(name));
        }
    }
    if found.shown.is_empty() {
        bail!("no item has a number {}", advice("all"));
    }
    Ok(found)
}

fn all_items(plan: &Plan, outcome: &Outcome, arguments: &Arguments) -> anyhow::Result<Items> {
    let environment = environment();
    let (mut shown, mut more) = (Vec::new(), Vec::new());
    for planned in &plan.items {
        let mut item = Item::new(plan, planned, outcome, &environment)?;
        let (drawn, empty): (Vec<Figure>, Vec<Figure>) =
            item.figures.into_iter().partition(|figure| !figure.panels.is_empty());
        item.figures = drawn;
        item.notes.extend(empty.iter().map(|figure| format!("{}: no numbers yet", figure.title)));
        let has_numbers = item.table.as_ref().is_some_and(|table| !table.cells.is_empty());
        let asked = !arguments.items.is_empty() || was_asked_for(&item, plan, outcome, &arguments.out);
        match asked && (has_numbers || !item.figures.is_empty()) {
            true => shown.push(item),
            false => more.push(item.title),
        }
    }
    Ok(Items { shown, more })
}

/// Everything of the page; `galleries` makes its images.
fn report(
    plan: &Plan,
    outcome: Outcome,
    Items { shown, more }: Items,
    galleries: impl FnOnce(&Outcome) -> anyhow::Result<Vec<Gallery>>,
) -> anyhow::Result<Report> {
    Ok(Report {
        title: "ROBIN: the paper's tables and figures, reproduced".to_owned(),
        profile: plan.profile,
        provenance: provenance(&outcome),
        forest: finding(plan, &outcome)?,
        claims: claims::judge(plan, &outcome)?,
        items: shown,
        more,
        galleries: galleries(&outcome)?,
        records: outcome.records.into_values().collect(),
        live: None,
    })
}

/// ROBIN's lead on the rows of the first item that has any: Table 1, where it was asked for.
pub fn finding(plan: &Plan, outcome: &Outcome) -> anyhow::Result<Vec<Forest>> {
    for item in &plan.items {
        let rows = forest(plan, outcome, &item.item)?;
        if !rows.is_empty() {
            return Ok(rows);
        }
    }
    Ok(Vec::new())
}

/// How far the work is: of the items that are shown, and every network that is trained or in training.
fn progress(arguments: &Arguments, plan: &Plan, outcome: &Outcome, shown: &[Item]) -> Live {
    let of = |name: &str| -> Vec<usize> {
        (0..plan.cells.len()).filter(|&at| plan.cells[at].item == name).collect()
    };
    let items = shown.iter().map(|item| (item, of(&item.name))).filter(|(_, cells)| !cells.is_empty());
    let items = items.map(|(item, cells)| LiveItem {
        title: item.title.clone(),
        done: cells.iter().filter(|at| outcome.records.contains_key(at)).count(),
        cells: cells.len(),
    });
    let mut networks = live::running(&arguments.out, arguments.profile);
    networks.extend(outcome.records.values().filter_map(LiveNetwork::of));
    Live { every: arguments.every, items: items.collect(), networks }
}

/// Images of every row that has the attack, of the items `names`, none twice.
fn galleries(
    arguments: &Arguments,
    plan: &Plan,
    names: &[String],
    outcome: &Outcome,
) -> anyhow::Result<Vec<Gallery>> {
    let store = Store::new(&arguments.out);
    let mut galleries: Vec<Gallery> = Vec::new();
    if arguments.images == 0 {
        return Ok(galleries);
    }
    for item in plan.items.iter().filter(|item| names.contains(&item.item)) {
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
    // Enough to find them; each record has the whole of its own.
    let commits: BTreeSet<&str> =
        all("commit").into_iter().map(|commit| commit.get(..12).unwrap_or(commit)).collect();
    vec![
        ("commit".to_owned(), if commits.is_empty() { "unknown".to_owned() } else { joined(commits) }),
        ("machine".to_owned(), joined(all("machine"))),
        ("computed".to_owned(), dates),
        ("records".to_owned(), outcome.records.len().to_string()),
    ]
}
