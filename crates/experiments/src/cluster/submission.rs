//! The files of a submitted plan, in `OUT/slurm/PLAN`: what was asked for, and for each submission what was handed over.
//!
//! `plan.json` is the request; `1`, `2`... are submissions, of which a later one has what the earlier ones left undone. In
//! each: `submission.json` (program, settings of the cluster, arrays), `cells.tsv` (every cell of the plan, for
//! people and for `status`), and for each array `NAME.sbatch` and `NAME.tasks` (line N has the cells of task N, as
//! `ITEM:KEY`); `collect.sbatch` comes last. `jobs.tsv` grows line by line while jobs are handed over; `logs` is what they say.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pack::{Array, Packing, arrays, jobs};
use super::script::{JobHead, array, once};
use super::settings::Cluster;
use crate::key::{Key, sha256};
use crate::record::Kind;
use crate::store::{Store, write_atomically};
use crate::{Arithmetic, Device, Error, Plan, Profile, Request, Result, Spec, cost};

/// Below the result folder.
pub const FOLDER: &str = "slurm";
/// The job that comes last.
pub const COLLECT: &str = "collect";
const FORMAT: &str = "robin-cluster-plan/1";

/// What was asked for, in words that another node understands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Items, each once.
    pub items: Vec<String>,
    /// How much is done.
    pub profile: String,
    /// As [`Request::rows`].
    pub rows: Option<String>,
    /// As [`Request::beyond`].
    pub beyond: bool,
    /// As [`Request::seeds`].
    pub seeds: Option<Vec<u64>>,
    /// As [`Request::attack_images`].
    pub attack_images: BTreeMap<String, usize>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// As [`Arithmetic::precision`].
    pub precision: String,
    /// As [`Arithmetic::repeatable`].
    pub repeatable: bool,
    /// As [`Request::data_dir`], absolute.
    pub data_dir: Option<PathBuf>,
}

impl Asked {
    /// The plan of those of its items that are among `items`; all, without a choice.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn plan(&self, items: Option<&BTreeSet<String>>) -> Result<Plan> {
        let device: Device = self.device.parse()?;
        let arithmetic =
            Arithmetic { precision: Some(&self.precision), repeatable: self.repeatable };
        let request = Request {
            profile: self.profile.parse::<Profile>()?,
            rows: self.rows.clone(),
            beyond: self.beyond,
            seeds: self.seeds.clone(),
            attack_images: self.attack_images.clone(),
            device: device.computing(arithmetic)?,
            data_dir: self.data_dir.clone(),
        };
        let chosen = self.items.iter().filter(|item| items.is_none_or(|items| items.contains(*item)));
        let specs = chosen.map(|item| Spec::named(item)).collect::<Result<Vec<_>>>()?;
        Plan::new(&specs, &request)
    }
}

/// A file of its own that tasks run, so that nothing changes under those that wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is, on every node.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Commit of its sources; empty if unknown.
    pub commit: String,
}

/// An array as it was handed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handed {
    /// Names its files.
    pub name: String,
    /// How many tasks it has.
    pub tasks: usize,
    /// How many cells they have.
    pub cells: usize,
    /// Names of arrays of this submission that make what it needs.
    pub needs: Vec<String>,
    /// Numbers of jobs of earlier submissions that do.
    pub after: Vec<String>,
    /// Estimate for the longest task.
    pub seconds: f64,
    /// Estimate for all, in seconds of one core.
    pub core_seconds: f64,
    /// Seconds that a task may take.
    pub limit: u64,
}

/// One submission's own file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    format: String,
    /// What runs.
    pub program: Program,
    /// What the batch system is told.
    pub cluster: Cluster,
    /// Examples that are evaluated together.
    pub batch: usize,
    /// In an order in which they can be handed over.
    pub arrays: Vec<Handed>,
}

/// A cell in `cells.tsv`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its key.
    pub key: Key,
    /// Network or evaluation.
    pub kind: Kind,
    /// The first item that needs it.
    pub item: String,
    /// Estimate, in seconds of one core.
    pub core_seconds: f64,
    /// Array and task that this submission gave it; none if it was done, or another has it.
    pub task: Option<(String, usize)>,
    /// For people.
    pub label: String,
}

/// The folder of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    out: PathBuf,
    /// The plan's name: the first digits of a hash over the request and all keys.
    pub id: String,
}

/// The folder of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Its plan's.
    pub folder: Folder,
    /// From 1.
    pub number: usize,
}

/// A submission before it is written: its files, and what is in them.
#[derive(Debug)]
pub struct Draft {
    /// Where it goes.
    pub submission: Submission,
    /// The request.
    pub asked: Asked,
    /// Its own file.
    pub facts: Facts,
    /// The others, by name.
    pub files: Vec<(String, String)>,
    /// Cells and core-hours of what is to be run, by item.
    pub core_hours: Vec<(String, usize, f64)>,
}

/// What a submission is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The request.
    pub asked: &'a Asked,
    /// Its plan.
    pub plan: &'a Plan,
    /// Estimates for the cells that are to be run, in seconds of one core.
    pub seconds: &'a BTreeMap<usize, f64>,
    /// Cells that earlier submissions have in the queue, and their jobs.
    pub live: &'a HashMap<Key, String>,
    /// What the batch system is told.
    pub cluster: &'a Cluster,
    /// What runs.
    pub program: &'a Program,
    /// Examples that are evaluated together.
    pub batch: usize,
    /// Tasks of an array at most.
    pub max_tasks: usize,
}

impl Folder {
    /// Where `plan` goes below `out`.
    ///
    /// # Errors
    /// [`Error::Json`].
    pub fn of(out: &Path, asked: &Asked, plan: &Plan) -> Result<Self> {
        let mut text = text(asked, "the request")?;
        for cell in &plan.cells {
            text.push_str(cell.key.as_str());
        }
        Ok(Self { out: out.to_owned(), id: sha256(text.as_bytes())[..12].to_owned() })
    }

    /// The plan called `id`, or the one that was submitted last.
    ///
    /// # Errors
    /// [`Error::Submission`] if there is none.
    pub fn find(out: &Path, id: Option<&str>) -> Result<Self> {
        let all = out.join(FOLDER);
        let fault = |reason: String| Error::Submission { path: all.clone(), reason };
        let known = |id: &str| all.join(id).join("plan.json");
        if let Some(id) = id {
            let folder = Self { out: out.to_owned(), id: id.to_owned() };
            return if known(id).is_file() { Ok(folder) } else { Err(fault(format!("there is no plan {id}"))) };
        }
        let mut plans = Vec::new();
        for entry in fs::read_dir(&all).into_iter().flatten().filter_map(std::result::Result::ok) {
            let id = entry.file_name().to_string_lossy().into_owned();
            let folder = Self { out: out.to_owned(), id };
            if known(&folder.id).is_file()
                && let Some(last) = folder.last()?
            {
                let written = fs::metadata(last.path().join("submission.json")).and_then(|data| data.modified());
                plans.push((written.ok(), folder));
            }
        }
        let newest = plans.into_iter().max_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        newest.map(|(_, folder)| folder).ok_or_else(|| fault("there is no submitted plan".to_owned()))
    }

    /// The folder that holds `path`, a submission's.
    ///
    /// # Errors
    /// [`Error::Submission`] if it is no such folder, or is not there.
    pub fn submission(path: &Path) -> Result<Submission> {
        let fault = |reason: &str| Error::Submission { path: path.to_owned(), reason: reason.to_owned() };
        let path = std::path::absolute(path).map_err(Error::io(path, "find"))?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let parts = || {
            let plan = path.parent()?;
            let all = plan.parent().filter(|all| all.ends_with(FOLDER))?;
            let out = all.parent()?.to_owned();
            Some(Submission { folder: Self { out, id: name(plan)? }, number: name(&path)?.parse().ok()? })
        };
        let submission = parts().ok_or_else(|| fault("is not the folder of a submission, OUT/slurm/PLAN/NUMBER"))?;
        if !path.join("submission.json").is_file() {
            return Err(fault("is not there; does this node see the file system of the result folder?"));
        }
        Ok(submission)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.out.join(FOLDER).join(&self.id)
    }

    /// The result folder.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The request.
    ///
    /// # Errors
    /// [`Error::Submission`], [`Error::Io`].
    pub fn asked(&self) -> Result<Asked> {
        read(&self.path().join("plan.json"))
    }

    /// The last submission.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn last(&self) -> Result<Option<Submission>> {
        let path = self.path();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(&path, "list")(error)),
        };
        let number = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<usize>().ok();
        let number = entries.filter_map(number).max();
        Ok(number.map(|number| Submission { folder: self.clone(), number }))
    }

    /// All submissions, the first one first.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn submissions(&self) -> Result<Vec<Submission>> {
        let last = self.last()?.map_or(0, |last| last.number);
        let all = (1..=last).map(|number| Submission { folder: self.clone(), number });
        Ok(all.filter(|submission| submission.path().join("submission.json").is_file()).collect())
    }

    /// The submission after the last.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next(&self) -> Result<Submission> {
        let number = self.last()?.map_or(1, |last| last.number + 1);
        Ok(Submission { folder: self.clone(), number })
    }
}

impl Submission {
    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.number.to_string())
    }

    /// Its own file.
    ///
    /// # Errors
    /// [`Error::Submission`], [`Error::Io`].
    pub fn facts(&self) -> Result<Facts> {
        read(&self.path().join("submission.json"))
    }

    /// What its jobs are called in the queue: a prefix, and the array's name.
    pub fn job_name(&self, array: &str) -> String {
        format!("robin-{}-{}-{array}", self.folder.id, self.number)
    }

    /// Every cell of the plan.
    ///
    /// # Errors
    /// [`Error::Submission`], [`Error::Io`].
    pub fn lines(&self) -> Result<Vec<Line>> {
        let path = self.path().join("cells.tsv");
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        let fault = |number: usize| Error::Submission { path: path.clone(), reason: format!("line {number} is no cell") };
        let lines = text.lines().enumerate().skip(1);
        lines.map(|(number, line)| Line::read(line).ok_or_else(|| fault(number + 1))).collect()
    }

    /// The cells of a task: item and key of each.
    ///
    /// # Errors
    /// [`Error::Submission`] if there is no such task, [`Error::Io`].
    pub fn task(&self, array: &str, task: usize) -> Result<Vec<(String, Key)>> {
        let path = self.path().join(format!("{array}.tasks"));
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        let cells = text.lines().nth(task).and_then(|line| {
            line.split(' ').map(|cell| cell.split_once(':').map(|(item, key)| (item.to_owned(), Key::read(key)))).collect()
        });
        cells.ok_or_else(|| Error::Submission { path, reason: format!("there is no task {task}") })
    }

    /// Names and numbers of the jobs that were handed over.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn jobs(&self) -> Result<BTreeMap<String, String>> {
        let path = self.path().join("jobs.tsv");
        match fs::read_to_string(&path) {
            Ok(text) => {
                let pair = |line: &str| line.split_once('\t').map(|(name, job)| (name.to_owned(), job.to_owned()));
                Ok(text.lines().filter_map(pair).collect())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(Error::io(&path, "read")(error)),
        }
    }

    /// Writes down that `array` is job number `job`, before anything else is done.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn handed_over(&self, array: &str, job: &str) -> Result<()> {
        let path = self.path().join("jobs.tsv");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(format!("{array}\t{job}\n").as_bytes())?;
            file.sync_all()
        });
        written.map_err(Error::io(&path, "write"))
    }
}

impl Draft {
    /// The next submission of `folder`: nothing is written.
    ///
    /// # Errors
    /// [`Error::Cluster`] for settings that cannot be meant.
    pub fn new(folder: &Folder, parts: &Parts<'_>) -> Result<Self> {
        let Parts { asked, plan, seconds, cluster, program, .. } = *parts;
        let fault = |reason: String| Error::Cluster { place: "the cluster's settings".to_owned(), reason };
        cluster.check().map_err(fault)?;
        let packing = Packing {
            cores: cluster.cores(),
            task_seconds: cluster.task_seconds(),
            max_tasks: parts.max_tasks,
        };
        let submission = folder.next()?;
        let arrays = arrays(&jobs(plan, seconds), packing);
        let mut files = vec![("cells.tsv".to_owned(), cells_file(plan, seconds, &arrays))];
        let mut handed = Vec::new();
        for of in &arrays {
            let (text, limit) = cluster.limit(of.seconds).map_err(fault)?;
            let array = Handed {
                name: of.name.clone(),
                tasks: of.tasks.len(),
                cells: of.tasks.iter().map(Vec::len).sum(),
                needs: of.needs.iter().map(|&need| arrays[need].name.clone()).collect(),
                after: live_needs(plan, of, parts.live),
                seconds: of.seconds,
                core_seconds: of.core_seconds,
                limit,
            };
            files.push((format!("{}.tasks", of.name), tasks_file(plan, of)));
            files.push((format!("{}.sbatch", of.name), array_script(&submission, parts, &array, text)));
            handed.push(array);
        }
        files.push((format!("{COLLECT}.sbatch"), collect_script(&submission, cluster, program)));
        let facts = Facts {
            format: FORMAT.to_owned(),
            program: program.clone(),
            cluster: cluster.clone(),
            batch: parts.batch,
            arrays: handed,
        };
        let core_hours = core_hours(plan, seconds);
        Ok(Self { submission, asked: asked.clone(), facts, files, core_hours })
    }

    /// Writes the submission's folder, the file that makes it one last.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; among them that somebody else has made this submission a moment ago.
    pub fn write(&self) -> Result<()> {
        let (plan, path) = (self.submission.folder.path(), self.submission.path());
        fs::create_dir_all(&plan).map_err(Error::io(&plan, "create the plan's folder"))?;
        write_atomically(&plan.join("plan.json"), text(&self.asked, "the request")?.as_bytes())?;
        fs::create_dir(&path).map_err(Error::io(&path, "create the submission's folder"))?;
        let logs = path.join("logs");
        fs::create_dir(&logs).map_err(Error::io(&logs, "create the folder"))?;
        for (name, text) in &self.files {
            write_atomically(&path.join(name), text.as_bytes())?;
        }
        write_atomically(&path.join("submission.json"), text(&self.facts, "the submission")?.as_bytes())
    }
}

/// Estimates for the cells of `plan` that have no record below `out` and are not `live`, by place, in seconds of one
/// core: each architecture is timed on this machine, on `threads` threads at once.
///
/// # Errors
/// If an architecture cannot be run.
pub fn estimates(
    plan: &Plan,
    out: &Path,
    live: &HashMap<Key, String>,
    threads: usize,
) -> Result<BTreeMap<usize, f64>> {
    let store = Store::new(out);
    let done = [Kind::Network, Kind::Evaluation].map(|kind| (kind, store.recorded(kind)));
    let there = |kind: Kind, key: &Key| done.iter().any(|(of, keys)| *of == kind && keys.contains(key));
    let missing = |&index: &usize| {
        let cell = &plan.cells[index];
        !there(cell.kind(), &cell.key) && !live.contains_key(&cell.key)
    };
    cost::each(plan, &(0..plan.cells.len()).filter(missing).collect(), threads)
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [key, kind, item, core_seconds, array, task, label] = fields[..] else { return None };
        let kind = [Kind::Network, Kind::Evaluation].into_iter().find(|of| of.folder() == kind)?;
        Some(Self {
            key: Key::read(key),
            kind,
            item: item.to_owned(),
            core_seconds: core_seconds.parse().ok()?,
            task: task.parse().ok().map(|task| (array.to_owned(), task)),
            label: label.to_owned(),
        })
    }
}

fn cells_file(plan: &Plan, seconds: &BTreeMap<usize, f64>, arrays: &[Array]) -> String {
    let mut places: Vec<Option<(&str, usize)>> = vec![None; plan.cells.len()];
    for array in arrays {
        for (task, cells) in array.tasks.iter().enumerate() {
            cells.iter().for_each(|&index| places[index] = Some((&array.name, task)));
        }
    }
    let mut text = String::from("key\tkind\titem\tcore_seconds\tarray\ttask\tlabel\n");
    for (index, cell) in plan.cells.iter().enumerate() {
        let (array, task) = places[index].map_or(("-", "-".to_owned()), |(array, task)| (array, task.to_string()));
        let (kind, seconds) = (cell.kind().folder(), seconds.get(&index).copied().unwrap_or(0.0));
        let _ = writeln!(
            text,
            "{}\t{kind}\t{}\t{seconds:.1}\t{array}\t{task}\t{}",
            cell.key,
            cell.item,
            cell.label.replace(['\t', '\n'], " ")
        );
    }
    text
}

fn tasks_file(plan: &Plan, array: &Array) -> String {
    let mut text = String::new();
    for task in &array.tasks {
        for (place, &index) in task.iter().enumerate() {
            let cell = &plan.cells[index];
            let _ = write!(text, "{}{}:{}", if place == 0 { "" } else { " " }, cell.item, cell.key);
        }
        text.push('\n');
    }
    text
}

/// Jobs of earlier submissions that make what `array` needs.
fn live_needs(plan: &Plan, array: &Array, live: &HashMap<Key, String>) -> Vec<String> {
    let needs = array.tasks.iter().flatten().flat_map(|&index| &plan.cells[index].needs);
    let jobs: BTreeSet<&String> = needs.filter_map(|&need| live.get(&plan.cells[need].key)).collect();
    jobs.into_iter().cloned().collect()
}

fn array_script(submission: &Submission, parts: &Parts<'_>, of: &Handed, limit: String) -> String {
    let path = submission.path();
    let (cells, tasks) = (of.cells, of.tasks);
    let head = JobHead {
        cluster: parts.cluster,
        name: &submission.job_name(&of.name),
        plan: &submission.folder.id,
        limit: (limit, of.limit),
        logs: &path.join("logs"),
        title: &format!("{}: {cells} cells in {tasks} tasks of about {:.0} s or less.", of.name, of.seconds.ceil()),
    };
    let (program, path) = (parts.program.path.display().to_string(), path.display().to_string());
    array(&head, &of.name, tasks, &[&program, "run-cell", &path, "--array", &of.name])
}

fn collect_script(submission: &Submission, cluster: &Cluster, program: &Program) -> String {
    let path = submission.path();
    let head = JobHead {
        cluster,
        name: &submission.job_name(COLLECT),
        plan: &submission.folder.id,
        limit: ("01:00:00".to_owned(), 3_600),
        logs: &path.join("logs"),
        title: "Tables and the report, of everything that has a record.",
    };
    once(&head, COLLECT, &[&program.path.display().to_string(), COLLECT, &path.display().to_string()])
}

fn core_hours(plan: &Plan, seconds: &BTreeMap<usize, f64>) -> Vec<(String, usize, f64)> {
    let mut by_item: Vec<(String, usize, f64)> =
        plan.items.iter().map(|item| (item.item.clone(), 0, 0.0)).collect();
    for (&index, seconds) in seconds {
        let item = &plan.cells[index].item;
        if let Some((_, cells, hours)) = by_item.iter_mut().find(|(name, ..)| name == item) {
            *cells += 1;
            *hours += seconds / 3_600.0;
        }
    }
    by_item
}

fn text(value: &impl Serialize, what: &'static str) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Json { what, source })?;
    Ok(text + "\n")
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Submission { path: path.to_owned(), reason: error.to_string() })
}
