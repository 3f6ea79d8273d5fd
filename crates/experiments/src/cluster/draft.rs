//! A submission before it is handed over: what is missing of a plan, as scripts and lists of cells.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::pack::{Array, Packing, arrays, jobs};
use super::script::{JobHead, array, once};
use super::settings::Cluster;
use super::submission::{Asked, COLLECT, FORMAT, Facts, Folder, Handed, Program, Submission, text};
use crate::key::Key;
use crate::out::write_shared;
use crate::record::Kind;
use crate::store::Store;
use crate::{Error, Plan, Result, cost};

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
        write_shared(&plan.join("plan.json"), text(&self.asked, "the request")?.as_bytes())?;
        fs::create_dir(&path).map_err(Error::io(&path, "create the submission's folder"))?;
        let logs = path.join("logs");
        fs::create_dir(&logs).map_err(Error::io(&logs, "create the folder"))?;
        for (name, text) in &self.files {
            write_shared(&path.join(name), text.as_bytes())?;
        }
        write_shared(&path.join("submission.json"), text(&self.facts, "the submission")?.as_bytes())
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

fn cells_file(plan: &Plan, seconds: &BTreeMap<usize, f64>, arrays: &[Array]) -> String {
    let mut places: Vec<Option<(&str, usize)>> = vec![None; plan.cells.len()];
    for array in arrays {
        for (task, cells) in array.tasks.iter().enumerate() {
            cells.iter().for_each(|&index| places[index] = Some((&array.name, task)));
        }
    }
    let mut text = String::from("key\tkind\titem\tcore_seconds\tarray\ttask\tlabel\n");
    for (index, cell) in plan.cells.iter().enumerate() {
        let (array, task) =
            places[index].map_or(("-", "-".to_owned()), |(array, task)| (array, task.to_string()));
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
        title: &format!(
            "{}: {cells} cells in {tasks} tasks of about {:.0} s or less.",
            of.name,
            of.seconds.ceil()
        ),
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

#[cfg(test)]
mod tests;
