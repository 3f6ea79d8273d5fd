//! `cargo xtask submit slurm` and `retry`: what is missing of a plan, as batch jobs.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use robin_cli::COMMIT;
use robin_experiments::Plan;
use robin_experiments::cluster::draft::{Draft, Parts, estimates};
use robin_experiments::cluster::script::quoted;
use robin_experiments::cluster::settings::Cluster;
use robin_experiments::cluster::status::Status;
use robin_experiments::cluster::submission::{Asked, COLLECT, FOLDER, Folder, Program};
use robin_experiments::key::sha256_of;
use robin_report::table::duration;

use super::resources::Resources;
use super::{Submitted, slurm};
use crate::selection::Selection;
use crate::terminal::{answer, say};

/// A batch system.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    system: System,
}

#[derive(Debug, Subcommand)]
enum System {
    /// Hand the cells of items over to Slurm, and a last job that makes the tables and the report.
    Slurm(Box<SlurmArguments>),
}

/// What is submitted, and how.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask submit slurm table-1 --rows mnist/cnn2 --profile smoke --dry-run\n  \
    cargo xtask submit slurm table-1 --profile paper --cluster cluster.toml --gpus 1 --max-concurrent 20\n\n\
    OUT must be on a file system that the nodes share. Scripts, lists of cells and logs lie in OUT/slurm/PLAN;\n\
    `cargo xtask status` says how far it is, `retry` submits what has no record, `cancel` ends it.")]
struct SlurmArguments {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    resources: Resources,
    /// Examples evaluated together. Results do not depend on it.
    #[arg(long, value_name = "N", default_value_t = 256)]
    batch: usize,
    /// Folder of records, weights and tables.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Print what would be submitted, and the core-hours of each item, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What is submitted again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask retry --time 08:00:00\n\n\
    Submits every cell that has neither a record nor a task in the queue, with the settings of the last submission but\n\
    for those given here. What a file of --cluster says stands in place of the last submission's.")]
pub(crate) struct RetryArguments {
    #[command(flatten)]
    submitted: Submitted,
    #[command(flatten)]
    resources: Resources,
    /// Print what would be submitted, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let System::Slurm(arguments) = &arguments.system;
    let selection = &arguments.selection;
    let cluster = arguments.resources.settings(None)?;
    let device = selection.device.ordinal().map_or("cpu".to_owned(), |ordinal| format!("cuda:{ordinal}"));
    let asked = Asked {
        items: selection.items().into_iter().map(str::to_owned).collect(),
        profile: selection.profile.to_string(),
        rows: selection.rows.clone(),
        beyond: selection.beyond(),
        seeds: selection.seeds.clone(),
        reading: selection.reading.clone(),
        attack_images: selection.attack_images.iter().cloned().collect(),
        device,
        precision: selection.device.precision().to_owned(),
        repeatable: selection.device.repeatable(),
        data_dir: selection.data_dir.as_deref().map(std::path::absolute).transpose()?,
    };
    let plan = selection.plan(&selection.items())?;
    let folder = Folder::of(&std::path::absolute(&arguments.out)?, &asked, &plan)?;
    submit(&folder, (&asked, &plan), &cluster, arguments.batch, arguments.dry_run)
}

pub(crate) fn retry(arguments: &RetryArguments) -> anyhow::Result<()> {
    let folder = arguments.submitted.folder()?;
    let asked = folder.asked()?;
    let plan = asked.plan(None)?;
    let now = Folder::of(folder.out(), &asked, &plan)?;
    if now != folder {
        bail!(
            "this program computes other keys than the one that submitted plan {}: `cargo xtask submit slurm` with the same \
             words makes a new plan; results under other keys stay",
            folder.id
        );
    }
    let last = folder.last()?.context("the plan has no submission")?.facts()?;
    let cluster = arguments.resources.settings(Some(last.cluster))?;
    submit(&folder, (&asked, &plan), &cluster, last.batch, arguments.dry_run)
}

fn submit(
    folder: &Folder,
    (asked, plan): (&Asked, &Plan),
    cluster: &Cluster,
    batch: usize,
    dry_run: bool,
) -> anyhow::Result<()> {
    let submissions = folder.submissions()?;
    let mut live = HashMap::new();
    if !submissions.is_empty() {
        let said = slurm::look(&submissions)?;
        if said.queue.is_none() && !dry_run {
            bail!(
                "plan {} was submitted before, and Slurm does not say what of it is still in the queue",
                folder.id
            );
        }
        live = Status::new(folder, &said)?.live;
    }
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let seconds = estimates(plan, folder.out(), &live, threads)?;
    if seconds.is_empty() {
        match live.len() {
            0 => answer!("nothing is missing: every cell has its record in {}", folder.out().display())?,
            cells => answer!("nothing to submit: what is missing, {cells} cells, is in the queue")?,
        }
        return Ok(());
    }
    let copied = Copied::below(folder.out())?;
    let parts = Parts {
        asked,
        plan,
        seconds: &seconds,
        live: &live,
        cluster,
        program: &copied.program,
        batch,
        max_tasks: slurm::max_tasks(),
    };
    let draft = Draft::new(folder, &parts)?;
    describe(&draft, plan.cells.len(), live.len())?;
    if dry_run {
        print(&draft)?;
        return Ok(());
    }
    if folder.out().starts_with("/tmp") {
        say!("warning: {} is not on a file system that nodes usually share", folder.out().display());
    }
    // Before anything is written: a machine without Slurm gets no folder of scripts that nobody runs.
    slurm::answers()?;
    copied.copy()?;
    draft.write()?;
    hand_over(&draft)
}

/// The program that runs now, and the copy that tasks will run.
struct Copied {
    program: Program,
    original: PathBuf,
}

impl Copied {
    fn below(out: &Path) -> anyhow::Result<Self> {
        let (original, sha256) = this_program()?;
        let path = out.join(FOLDER).join("bin").join(format!("xtask-{}", &sha256[..12]));
        Ok(Self { program: Program { path, sha256, commit: COMMIT.to_owned() }, original })
    }

    fn copy(&self) -> anyhow::Result<()> {
        let path = &self.program.path;
        if path.is_file() {
            return Ok(());
        }
        let folder = path.parent().context("the program has a folder")?;
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let aside = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?.into_temp_path();
            fs::copy(&self.original, &aside)?;
            aside.persist(path)?;
            Ok(())
        };
        copy().with_context(|| format!("cannot copy this program to {}", path.display()))
    }
}

/// Where this program is, and the SHA-256 of its bytes.
pub(super) fn this_program() -> anyhow::Result<(PathBuf, String)> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let sha256 = fs::File::open(&own).and_then(sha256_of).map(|(sha256, _)| sha256);
    let sha256 = sha256.with_context(|| format!("cannot read {}", own.display()))?;
    Ok((own, sha256))
}

fn describe(draft: &Draft, cells: usize, live: usize) -> anyhow::Result<()> {
    let submission = &draft.submission;
    answer!(
        "plan {}, submission {}, in {}",
        submission.folder.id,
        submission.number,
        submission.path().display()
    )?;
    let to_run: usize = draft.core_hours.iter().map(|(_, cells, _)| cells).sum();
    answer!("{cells} cells: {to_run} to run, {live} in the queue, {} done", cells - to_run - live)?;
    for (item, cells, hours) in draft.core_hours.iter().filter(|(_, cells, _)| *cells > 0) {
        answer!("  {item}: {cells} cells, about {hours:.2} core-hours")?;
    }
    for array in &draft.facts.arrays {
        answer!(
            "  {}: {} cells in {} tasks, the longest about {}, limit {}{}",
            array.name,
            array.cells,
            array.tasks,
            duration(array.seconds),
            duration(array.limit as f64),
            match array.needs.len() + array.after.len() {
                0 => String::new(),
                _ => format!(", after {}", [&array.needs[..], &array.after[..]].concat().join(", ")),
            }
        )?;
    }
    Ok(answer!("  {COLLECT}: tables and the report, after all of these")?)
}

/// Every script, and the commands that hand them over.
fn print(draft: &Draft) -> anyhow::Result<()> {
    for (name, text) in draft.files.iter().filter(|(name, _)| name.ends_with(".sbatch")) {
        answer!("\n== {name}\n{text}")?;
    }
    answer!("== commands")?;
    let path = draft.submission.path();
    let job = |name: &String| format!("$({name})");
    for array in &draft.facts.arrays {
        let after: Vec<String> = array.needs.iter().map(job).chain(array.after.iter().cloned()).collect();
        answer!("{}", command(&path, &array.name, &after))?;
    }
    let all: Vec<String> = draft.facts.arrays.iter().map(|array| job(&array.name)).collect();
    Ok(answer!("{}", command(&path, COLLECT, &all))?)
}

/// `$(NAME)` stands for the number that the job NAME gets.
fn command(path: &Path, name: &str, after: &[String]) -> String {
    let arguments = slurm::sbatch_arguments(&path.join(format!("{name}.sbatch")), after);
    let word = |word: &String| if word.contains("$(") { word.clone() } else { quoted(word) };
    format!("sbatch {}", arguments.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// Array after array, each number written down before the next is asked for; the last job makes the report.
fn hand_over(draft: &Draft) -> anyhow::Result<()> {
    let submission = &draft.submission;
    let mut jobs: HashMap<&str, String> = HashMap::new();
    let mut all: Vec<String> = Vec::new();
    let arrays = draft.facts.arrays.iter().map(|array| (array.name.as_str(), Some(array)));
    let count = draft.facts.arrays.len() + 1;
    for (name, array) in arrays.chain([(COLLECT, None)]) {
        let after: Vec<String> = match array {
            Some(array) => {
                let needs = array.needs.iter().filter_map(|need| jobs.get(need.as_str()).cloned());
                needs.chain(array.after.iter().cloned()).collect()
            }
            None => all.clone(),
        };
        let script = submission.path().join(format!("{name}.sbatch"));
        let job = slurm::sbatch(&script, &submission.job_name(name), &after).with_context(|| {
            format!(
                "Slurm did not take {name}; {} of {count} jobs were handed over and go on. When the cause is gone, `cargo \
                 xtask retry --out {}` submits what is then neither done nor in the queue",
                all.len(),
                submission.folder.out().display()
            )
        })?;
        submission.handed_over(name, &job)?;
        answer!("{job}: {name}")?;
        jobs.insert(name, job.clone());
        all.push(job);
    }
    answer!("`cargo xtask status --out {}` says how far it is", submission.folder.out().display())?;
    Ok(())
}
