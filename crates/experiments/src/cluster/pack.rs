//! Cells into arrays of tasks: one array for each kind and size of cell, small cells several to a task.

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::record::Kind;

/// A cell to be run.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where it is in the plan.
    pub index: usize,
    /// Network or evaluation.
    pub kind: Kind,
    /// What it works on: an architecture.
    pub family: String,
    /// Estimate, in seconds of one core.
    pub core_seconds: f64,
    /// Places in the plan of what it needs and is to be run too.
    pub needs: Vec<usize>,
}

/// How tasks are cut.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// Cores of a task.
    pub cores: usize,
    /// Seconds that a task should take at least.
    pub task_seconds: f64,
    /// Tasks of an array at most.
    pub max_tasks: usize,
}

/// Tasks that ask for the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// `networks-cnn2-small-64s`: kind, architecture, and the seconds that a cell takes at most.
    pub name: String,
    /// Networks or evaluations.
    pub kind: Kind,
    /// The cells of each task, by their places in the plan.
    pub tasks: Vec<Vec<usize>>,
    /// Places of arrays, earlier in the list, that make what this one needs.
    pub needs: Vec<usize>,
    /// Estimate for the longest task.
    pub seconds: f64,
    /// Estimate for all, in seconds of one core.
    pub core_seconds: f64,
}

/// The cells of `plan` that `core_seconds` has estimates for, in seconds of one core.
pub fn jobs(plan: &Plan, core_seconds: &BTreeMap<usize, f64>) -> Vec<Job> {
    let family = |index: usize| plan.cells[index].work.network().map(|work| work.graph.name());
    let of = |(&index, &seconds): (&usize, &f64)| {
        let cell = &plan.cells[index];
        let needed = || cell.needs.iter().find_map(|&need| family(need));
        Job {
            index,
            kind: cell.kind(),
            family: family(index).or_else(needed).unwrap_or("toy").to_owned(),
            core_seconds: seconds,
            needs: cell.needs.iter().copied().filter(|need| core_seconds.contains_key(need)).collect(),
        }
    };
    core_seconds.iter().map(of).collect()
}

/// Cuts `jobs` into arrays, networks first. Within an array they keep their order.
pub fn arrays(jobs: &[Job], packing: Packing) -> Vec<Array> {
    let mut groups: BTreeMap<(Kind, &str, u32), Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        groups
            .entry((job.kind, &job.family, size(job.core_seconds / packing.cores as f64)))
            .or_default()
            .push(job);
    }
    let mut arrays: Vec<Array> = Vec::new();
    let mut made_by: BTreeMap<usize, usize> = BTreeMap::new();
    for ((kind, family, size), group) in groups {
        let tasks = tasks(&group, packing);
        let parts = tasks.len().div_ceil(packing.max_tasks.max(1));
        for (part, tasks) in tasks.chunks(packing.max_tasks.max(1)).enumerate() {
            let part = if parts == 1 { String::new() } else { format!("-{}", part + 1) };
            let name = format!("{}-{family}-{}{part}", kind.folder(), bound(size));
            let of = |task: &Vec<&Job>| task.iter().map(|job| job.core_seconds).sum::<f64>();
            let mut needs: Vec<usize> = tasks
                .iter()
                .flatten()
                .flat_map(|job| &job.needs)
                .filter_map(|need| made_by.get(need).copied())
                .collect();
            needs.sort_unstable();
            needs.dedup();
            if kind == Kind::Network {
                made_by.extend(tasks.iter().flatten().map(|job| (job.index, arrays.len())));
            }
            arrays.push(Array {
                name,
                kind,
                tasks: tasks.iter().map(|task| task.iter().map(|job| job.index).collect()).collect(),
                needs,
                seconds: tasks.iter().map(of).fold(0.0, f64::max) / packing.cores as f64,
                core_seconds: tasks.iter().map(of).sum(),
            });
        }
    }
    arrays
}

/// As many tasks as there may be, none much shorter than asked for, and all about as long.
fn tasks<'a>(group: &[&'a Job], packing: Packing) -> Vec<Vec<&'a Job>> {
    let wall = |job: &Job| job.core_seconds / packing.cores as f64;
    let total: f64 = group.iter().map(|job| wall(job)).sum();
    let count = match packing.task_seconds > 0.0 {
        true => ((total / packing.task_seconds) as usize).clamp(1, group.len().max(1)),
        false => group.len(),
    };
    let each = total / count as f64;
    let mut tasks: Vec<Vec<&Job>> = vec![Vec::new(); count];
    let mut before = 0.0;
    for (place, &job) in group.iter().enumerate() {
        // By where its middle lies; without estimates, by number.
        let middle = before + wall(job) / 2.0;
        let task = if each > 0.0 { (middle / each) as usize } else { place * count / group.len() };
        tasks[task.min(count - 1)].push(job);
        before += wall(job);
    }
    tasks.retain(|task| !task.is_empty());
    tasks
}

/// Sizes are powers of four, so that cells of one array take about as long.
fn size(seconds: f64) -> u32 {
    (0..15).find(|&size| seconds <= 4f64.powi(size as i32)).unwrap_or(15)
}

fn bound(size: u32) -> String {
    match 4u64.pow(size) {
        seconds @ 0..1_000 => format!("{seconds}s"),
        seconds @ 1_000..14_000 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(index: usize, kind: Kind, core_seconds: f64, needs: &[usize]) -> Job {
        Job { index, kind, family: "cnn2".to_owned(), core_seconds, needs: needs.to_vec() }
    }

    const PACKING: Packing = Packing { cores: 2, task_seconds: 300.0, max_tasks: 1000 };

    #[test]
    fn small_cells_share_a_task_and_large_ones_have_their_own() {
        let small = (0..100).map(|index| job(index, Kind::Evaluation, 60.0, &[]));
        let large = (100..104).map(|index| job(index, Kind::Evaluation, 7_000.0, &[]));
        let arrays = arrays(&small.chain(large).collect::<Vec<_>>(), PACKING);
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        assert_eq!(names, ["evaluations-cnn2-64s", "evaluations-cnn2-68m"]);
        assert_eq!(arrays[0].tasks.len(), 10);
        assert!(arrays[0].tasks.iter().all(|task| task.len() == 10), "{:?}", arrays[0].tasks);
        assert_eq!((arrays[0].seconds, arrays[0].core_seconds), (300.0, 6_000.0));
        assert_eq!(arrays[1].tasks, [[100], [101], [102], [103]]);
    }

    #[test]
    fn every_cell_is_in_one_task_and_none_is_short() {
        let jobs: Vec<Job> = (0..997)
            .map(|index| job(index, Kind::Network, 1.0 + (index * 37 % 101) as f64 * 7.0, &[]))
            .collect();
        let arrays = arrays(&jobs, PACKING);
        let mut seen: Vec<usize> =
            arrays.iter().flat_map(|array| array.tasks.iter().flatten().copied()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..997).collect::<Vec<_>>());
        for array in &arrays {
            let seconds = |task: &Vec<usize>| task.iter().map(|&i| jobs[i].core_seconds).sum::<f64>() / 2.0;
            let longest =
                array.tasks.iter().flatten().map(|&i| jobs[i].core_seconds / 2.0).fold(0.0, f64::max);
            // A whole cell may fall to the neighbour.
            assert!(array.tasks.iter().all(|task| array.tasks.len() == 1 || seconds(task) > 300.0 - longest));
        }
    }

    #[test]
    fn an_array_depends_on_those_that_make_what_it_needs() {
        let jobs = [
            job(0, Kind::Network, 10.0, &[]),
            job(1, Kind::Network, 7_000.0, &[]),
            job(2, Kind::Network, 7_000.0, &[]),
            job(3, Kind::Evaluation, 10.0, &[0]),
            job(4, Kind::Evaluation, 900.0, &[1, 2]),
            job(5, Kind::Evaluation, 900_000.0, &[77]),
        ];
        let arrays = arrays(&jobs, Packing { max_tasks: 1, ..PACKING });
        let found: Vec<(&str, &[usize])> =
            arrays.iter().map(|array| (array.name.as_str(), array.needs.as_slice())).collect();
        assert_eq!(
            found,
            [
                ("networks-cnn2-16s", &[][..]),
                ("networks-cnn2-68m-1", &[]),
                ("networks-cnn2-68m-2", &[]),
                ("evaluations-cnn2-16s", &[0]),
                ("evaluations-cnn2-17m", &[1, 2]),
                ("evaluations-cnn2-291h", &[]),
            ]
        );
    }
}
