//! The files of a submitted plan, in `OUT/slurm/PLAN`: what was asked for, and for each submission what was handed over.
//!
//! `plan.json` is the request; `1`, `2`... are submissions, of which a later one has what the earlier ones left undone. In
//! each: `submission.json` (program, settings of the cluster, arrays), `cells.tsv` (every cell of the plan, for
//! people and for `status`), and for each array `NAME.sbatch` and `NAME.tasks` (line N has the cells of task N, as
//! `ITEM:KEY`); `collect.sbatch` comes last. `jobs.tsv` grows line by line while jobs are handed over; `logs` is what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::settings::Cluster;
use crate::key::{Key, sha256};
use crate::record::Kind;
use crate::{Arithmetic, Device, Error, Plan, Profile, Request, Result, Spec};

/// Below the result folder.
pub const FOLDER: &str = "slurm";
/// The job that comes last.
pub const COLLECT: &str = "collect";
pub(super) const FORMAT: &str = "robin-cluster-plan/1";

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
    /// As [`Request::reading`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<String>,
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
        let arithmetic = Arithmetic { precision: Some(&self.precision), repeatable: self.repeatable };
        let request = Request {
            profile: self.profile.parse::<Profile>()?,
            rows: self.rows.clone(),
            beyond: self.beyond,
            seeds: self.seeds.clone(),
            reading: self.reading.clone(),
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
    pub(super) format: String,
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
            return if known(id).is_file() {
                Ok(folder)
            } else {
                Err(fault(format!("there is no plan {id}")))
            };
        }
        let mut plans = Vec::new();
        for entry in fs::read_dir(&all).into_iter().flatten().filter_map(std::result::Result::ok) {
            let id = entry.file_name().to_string_lossy().into_owned();
            let folder = Self { out: out.to_owned(), id };
            if known(&folder.id).is_file()
                && let Some(last) = folder.last()?
            {
                let written =
                    fs::metadata(last.path().join("submission.json")).and_then(|data| data.modified());
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
        let submission =
            parts().ok_or_else(|| fault("is not the folder of a submission, OUT/slurm/PLAN/NUMBER"))?;
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
        let number =
            |entry: std::io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse::<usize>().ok();
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
        let fault = |number: usize| Error::Submission {
            path: path.clone(),
            reason: format!("line {number} is no cell"),
        };
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
            line.split(' ')
                .map(|cell| {
                    cell.split_once(':').and_then(|(item, key)| Some((item.to_owned(), Key::parse(key)?)))
                })
                .collect()
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
                let pair =
                    |line: &str| line.split_once('\t').map(|(name, job)| (name.to_owned(), job.to_owned()));
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

impl Line {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [key, kind, item, core_seconds, array, task, label] = fields[..] else { return None };
        let kind = [Kind::Network, Kind::Evaluation].into_iter().find(|of| of.folder() == kind)?;
        Some(Self {
            key: Key::parse(key)?,
            kind,
            item: item.to_owned(),
            core_seconds: core_seconds.parse().ok()?,
            task: task.parse().ok().map(|task| (array.to_owned(), task)),
            label: label.to_owned(),
        })
    }
}

pub(super) fn text(value: &impl Serialize, what: &'static str) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|source| Error::Json { what, source })?;
    Ok(text + "\n")
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Submission { path: path.to_owned(), reason: error.to_string() })
}
