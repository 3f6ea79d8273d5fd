//! How far a plan is: from the records first, then from what the batch system says.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use super::claim::FAILURES;
use super::queue::Row;
use super::submission::{Folder, Line};
use crate::Result;
use crate::key::Key;
use crate::record::Kind;
use crate::store::Store;

/// What the batch system says.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Its queue; `None` if it does not answer.
    pub queue: Option<Vec<Row>>,
    /// How tasks ended, by numbers of array and task, where it keeps accounts.
    pub ended: BTreeMap<(String, Option<usize>), String>,
}

/// How far a cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its record is there.
    Done,
    /// Its task runs.
    Running,
    /// Its task waits.
    Queued,
    /// It has failed, and why.
    Failed(String),
    /// Neither a record nor a task that could make it, and what is known about that.
    Lost(String),
    /// No record, and the batch system does not answer.
    Unknown,
}

/// How far a plan is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Every cell.
    pub cells: Vec<(Line, Standing)>,
    /// Tasks in the queue, with the name of their array.
    pub tasks: Vec<(String, Row)>,
    /// Estimate of the seconds that are left with as many tasks as run now.
    pub seconds_left: Option<f64>,
    /// Cells that have a task in the queue, and its job.
    pub live: HashMap<Key, String>,
}

/// Where a submission put a cell.
struct Place {
    submission: usize,
    array: String,
    task: usize,
    /// `None` if it was never handed over.
    job: Option<String>,
}

impl Status {
    /// Of the plan in `folder`. A cell is where the last submission that had it put it.
    ///
    /// # Errors
    /// As [`super::submission::Submission::lines`].
    pub fn new(folder: &Folder, said: &Said) -> Result<Self> {
        let mut lines: Vec<Line> = Vec::new();
        let mut places: HashMap<Key, Place> = HashMap::new();
        let mut names: HashMap<String, String> = HashMap::new();
        let mut cores = 1;
        for submission in folder.submissions()? {
            let jobs = submission.jobs()?;
            lines = submission.lines()?;
            cores = submission.facts()?.cluster.cores();
            for line in &lines {
                if let Some((array, task)) = line.task.clone() {
                    let place =
                        Place { submission: submission.number, job: jobs.get(&array).cloned(), array, task };
                    places.insert(line.key.clone(), place);
                }
            }
            names.extend(jobs.into_iter().map(|(name, job)| (job, name)));
        }
        let queue: HashMap<(&str, Option<usize>), &Row> = (said.queue.iter().flatten())
            .filter(|row| names.contains_key(&row.job))
            .map(|row| ((row.job.as_str(), row.task), row))
            .collect();
        let store = Store::new(folder.out());
        let done = [Kind::Network, Kind::Evaluation].map(|kind| (kind, store.recorded(kind)));
        let there =
            |line: &Line| done.iter().any(|(kind, keys)| *kind == line.kind && keys.contains(&line.key));
        let row = |line: &Line| {
            let place = places.get(&line.key)?;
            queue.get(&(place.job.as_deref()?, Some(place.task))).copied()
        };
        let standing = |line: &Line| {
            if there(line) {
                return Standing::Done;
            }
            let row = row(line);
            // A cell of a task that goes on may have failed already; one whose task waits is tried again.
            if row.is_none_or(Row::is_running)
                && let Ok(reason) = fs::read_to_string(folder.out().join(FAILURES).join(line.key.as_str()))
            {
                return Standing::Failed(reason.trim().to_owned());
            }
            match row {
                Some(row) if row.is_running() => Standing::Running,
                Some(row) if row.is_stuck() => {
                    Standing::Lost(format!("its task waits in vain: {}", row.reason))
                }
                Some(_) => Standing::Queued,
                None if said.queue.is_none() => Standing::Unknown,
                None => Standing::Lost(why(places.get(&line.key), said)),
            }
        };
        let mut live = HashMap::new();
        let mut cells = Vec::with_capacity(lines.len());
        for line in lines {
            let standing = standing(&line);
            if matches!(standing, Standing::Running | Standing::Queued)
                && let Some(row) = row(&line)
            {
                live.insert(line.key.clone(), row.job.clone());
            }
            cells.push((line, standing));
        }
        let ahead = |(line, standing): &(Line, Standing)| match standing {
            Standing::Running | Standing::Queued => line.core_seconds,
            _ => 0.0,
        };
        let running = queue.values().filter(|row| row.task.is_some() && row.is_running()).count();
        let seconds_left =
            (running > 0).then(|| cells.iter().map(ahead).sum::<f64>() / (running * cores) as f64);
        let mut tasks: Vec<(String, Row)> =
            queue.into_values().map(|row| (names[&row.job].clone(), row.clone())).collect();
        tasks.sort_by(|a, b| (&a.1.job, a.1.task).cmp(&(&b.1.job, b.1.task)));
        Ok(Self { cells, tasks, seconds_left, live })
    }

    /// How many cells are as `wanted` says.
    pub fn count(&self, wanted: impl Fn(&Standing) -> bool) -> usize {
        self.cells.iter().filter(|(_, standing)| wanted(standing)).count()
    }

    /// Whether nothing more will happen by itself.
    pub fn is_over(&self) -> bool {
        self.tasks.iter().all(|(_, row)| row.is_stuck())
            && self.count(|standing| *standing == Standing::Unknown) == 0
    }
}

/// What is known of a cell that is nowhere.
fn why(place: Option<&Place>, said: &Said) -> String {
    let Some(Place { submission, array, task, job }) = place else {
        return "its record was there when the plan was submitted".to_owned();
    };
    let log = format!("see {submission}/logs/{array}-{task}.out");
    match job {
        None => format!("{array} was never handed over"),
        Some(job) => match said.ended.get(&(job.clone(), Some(*task))) {
            Some(end) => format!("its task {job}_{task} ended without a record: {end}; {log}"),
            None => format!("its task {job}_{task} is not in the queue; {log}"),
        },
    }
}
