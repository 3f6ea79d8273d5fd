//! What Slurm says of jobs. Text and not JSON: its JSON ignores filters, and changes from version to version.

use std::collections::BTreeMap;

/// Options that make `squeue` say what [`rows`] reads, one line a task.
pub const SQUEUE: [&str; 4] = ["-h", "-r", "-o", "%A|%F|%K|%T|%r|%N|%M|%L"];
/// Options that make `sacct` say what [`ended`] reads.
pub const SACCT: [&str; 4] = ["-X", "-P", "-n", "-oJobID,State,ExitCode,NodeList"];

/// A task in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number of its array, or of a job that is none.
    pub job: String,
    /// Its number in the array.
    pub task: Option<usize>,
    /// `PENDING`, `RUNNING`...
    pub state: String,
    /// Why it waits.
    pub reason: String,
    /// Where it runs.
    pub nodes: String,
    /// How long it has run.
    pub elapsed: String,
    /// How long it may go on.
    pub left: String,
}

impl Row {
    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "RUNNING" | "SUSPENDED" | "SIGNALING" | "STAGE_OUT")
    }

    /// Whether it will never run, but stands there.
    pub fn is_stuck(&self) -> bool {
        self.reason == "DependencyNeverSatisfied"
            || self.reason.contains("Held")
            || self.reason.contains("held")
    }
}

/// The lines of `squeue` with [`SQUEUE`]; what is no such line is left out.
pub fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.trim().split('|').collect();
        let [_, job, task, state, reason, nodes, elapsed, left] = fields[..] else { return None };
        Some(Row {
            job: job.to_owned(),
            task: task.parse().ok(),
            state: state.to_owned(),
            reason: reason.to_owned(),
            nodes: nodes.to_owned(),
            elapsed: elapsed.to_owned(),
            left: left.to_owned(),
        })
    };
    text.lines().filter_map(row).collect()
}

/// State, exit code and node of ended tasks, from the lines of `sacct` with [`SACCT`], by number of array and task.
pub fn ended(text: &str) -> BTreeMap<(String, Option<usize>), String> {
    let task = |line: &str| {
        let fields: Vec<&str> = line.trim().split('|').collect();
        let [id, state, code, nodes] = fields[..] else { return None };
        // "CANCELLED by 0"; and what still waits or runs has not ended.
        let state =
            state.split(' ').next().filter(|state| !matches!(*state, "PENDING" | "RUNNING" | "REQUEUED"))?;
        let (job, task) = match id.split_once('_') {
            Some((job, task)) => (job, Some(task.parse().ok()?)),
            None => (id, None),
        };
        Some(((job.to_owned(), task), format!("{state}, exit code {code}, on {nodes}")))
    };
    text.lines().filter_map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue_are_read() {
        // As Slurm 22.05 prints them.
        let text = "14|12|0|RUNNING|None|n1|1:02|58:58\n15|12|1|PENDING|Dependency||0:00|1:00:00\n\
                    16|16|N/A|PENDING|DependencyNeverSatisfied||0:00|15:00\nslurm_load_jobs error\n";
        let rows = rows(text);
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].job.as_str(), rows[0].task, rows[0].is_running()), ("12", Some(0), true));
        assert_eq!(
            (rows[1].task, rows[1].reason.as_str(), rows[1].is_running()),
            (Some(1), "Dependency", false)
        );
        assert!(rows[2].task.is_none() && rows[2].is_stuck() && !rows[1].is_stuck());
    }

    #[test]
    fn lines_of_sacct_are_read() {
        let text = "12_0|COMPLETED|0:0|n1\n12_1|CANCELLED by 0|0:15|n2\n12_[2-9%4]|PENDING|0:0|None assigned\n13|FAILED|1:0|n1\n";
        let ended = ended(text);
        assert_eq!(ended.len(), 3);
        assert_eq!(ended[&("12".to_owned(), Some(1))], "CANCELLED, exit code 0:15, on n2");
        assert_eq!(ended[&("13".to_owned(), None)], "FAILED, exit code 1:0, on n1");
    }
}
