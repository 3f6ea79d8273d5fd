//! `cargo xtask run-cell`: what a batch job runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use robin_cli::COMMIT;
use robin_core::CancelToken;
use robin_experiments::cluster::run::{Done, run_cells};
use robin_experiments::cluster::script::{AGAIN, ENDED};
use robin_experiments::cluster::submission::{Facts, Folder};
use robin_experiments::key::Key;
use robin_experiments::record::Kind;
use robin_experiments::{Environment, Options};
use robin_training::SaveToken;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use crate::environment;
use crate::exit::Stopped;
use crate::progress::Lines;
use crate::terminal::say;

/// Which cells.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask run-cell results/slurm/0123456789ab/1 --array networks-cnn2-64s --task 3\n  \
    cargo xtask run-cell results/slurm/0123456789ab/1 KEY KEY\n\n\
    Cells whose record is there are done; the others are continued from their checkpoints. Given twice at once, the later\n\
    one takes over, and the earlier one stops without writing.\n\
    SIGUSR1 or SIGUSR2: save, and exit with 75, to be started again. SIGTERM: save, and exit with 143.\n\
    Exit codes: 0 all of these cells have their record, 1 one failed, 75 and 143 as said.")]
pub(crate) struct Arguments {
    /// Folder of a submission: OUT/slurm/PLAN/NUMBER.
    #[arg(value_name = "SUBMISSION")]
    submission: PathBuf,
    /// Cells by their keys, in place of a task's.
    #[arg(value_name = "KEY", required_unless_present = "array")]
    keys: Vec<String>,
    /// An array of the submission.
    #[arg(long, value_name = "NAME", requires = "task", conflicts_with = "keys")]
    array: Option<String>,
    /// A task of the array, from 0.
    #[arg(long, value_name = "N", requires = "array")]
    task: Option<usize>,
    /// Threads that compute, and cells that run side by side [default: one per core]. Results do not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let begin = Instant::now();
    let signal = watch_for_signals()?;
    let submission = Folder::submission(&arguments.submission)?;
    let facts = submission.facts()?;
    check_program(&facts)?;
    let cells: Vec<(String, Key)> = match (&arguments.array, arguments.task) {
        (Some(array), Some(task)) => submission.task(array, task)?,
        _ => {
            let asked: BTreeSet<&str> = arguments.keys.iter().map(String::as_str).collect();
            let lines = submission.lines()?.into_iter().filter(|line| asked.contains(line.key.as_str()));
            let cells: Vec<_> = lines.map(|line| (line.item, line.key)).collect();
            if cells.len() < asked.len() {
                bail!(
                    "{} of {} keys are no cells of plan {}",
                    asked.len() - cells.len(),
                    asked.len(),
                    submission.folder.id
                );
            }
            cells
        }
    };
    // Other items' cells are not looked at, so they need not be planned.
    let items = cells.iter().map(|(item, _)| item.clone()).collect();
    let plan = submission.folder.asked()?.plan(Some(&items))?;
    let keys: Vec<Key> = cells.into_iter().map(|(_, key)| key).collect();
    let (owner, environment) = who();
    let options = Options {
        threads: arguments.threads,
        jobs: None,
        batch_size: facts.batch,
        checkpoint_every: Options::CHECKPOINT_EVERY,
        cancel: &signal.cancel,
        // Every signal here saves and stops.
        save: SaveToken::new(),
        observer: &Lines::new(&plan),
        environment: &environment,
    };
    say!("{owner}: {} cells, ready after {:.2} s", keys.len(), begin.elapsed().as_secs_f64());
    let done = run_cells(&plan, &keys, submission.folder.out(), &owner, &options)?;
    say!(
        "{} of {} cells have their record, {} computed now, {:.2} s",
        done.there,
        keys.len(),
        done.computed,
        begin.elapsed().as_secs_f64()
    );
    let limit = facts.arrays.iter().find(|array| Some(&array.name) == arguments.array.as_ref());
    let limit = limit.map(|array| (array.limit, begin.elapsed().as_secs_f64()));
    end(&done, signal.first(), limit)
}

/// What the process says at its end.
fn end(done: &Done, signal: i32, limit: Option<(u64, f64)>) -> anyhow::Result<()> {
    if !done.unfinished.is_empty() {
        return match signal {
            SIGUSR1 | SIGUSR2 => {
                if let Some((limit, elapsed)) = limit {
                    check_progress(done, limit, elapsed)?;
                }
                Err(Stopped { code: AGAIN, cells: done.unfinished.len() }.into())
            }
            SIGTERM => Err(Stopped { code: ENDED, cells: done.unfinished.len() }.into()),
            SIGINT => Err(Stopped { code: 130, cells: done.unfinished.len() }.into()),
            _ => bail!("{} cells were not run, for no reason that is known", done.unfinished.len()),
        };
    }
    match done.failures.as_slice() {
        [] => Ok(()),
        [(label, error), ..] => {
            let error = anyhow::anyhow!("{label}: {error}");
            Err(error.context(format!(
                "{} cells failed; `cargo xtask retry` submits them again",
                done.failures.len()
            )))
        }
    }
}

/// Refuses another turn to a task whose whole time was not enough for one evaluation: these begin anew each time.
fn check_progress(done: &Done, limit: u64, elapsed: f64) -> anyhow::Result<()> {
    let none = done.computed == 0 && done.unfinished.iter().all(|(kind, _)| *kind == Kind::Evaluation);
    if none && elapsed > limit as f64 / 2.0 {
        let (_, label) = &done.unfinished[0];
        bail!(
            "{label} did not come to its end in {elapsed:.0} s, and evaluations have no checkpoints: give more with `cargo \
             xtask retry --time`, or more cores with --cpus"
        );
    }
    Ok(())
}

/// Tasks run the very program that submitted them.
fn check_program(facts: &Facts) -> anyhow::Result<()> {
    let (own, sha256) = super::submit::this_program()?;
    let submitted = &facts.program;
    if sha256 != submitted.sha256 {
        let commit = |commit: &str| if commit.is_empty() { "unknown".to_owned() } else { commit.to_owned() };
        bail!(
            "{} is not the program that submitted this plan: its commit is {} (SHA-256 {}), that of the submission is {} \
             (SHA-256 {}). `cargo xtask retry` with the new program submits what is missing, under the keys that it computes",
            own.display(),
            commit(COMMIT),
            &sha256[..12],
            commit(&submitted.commit),
            submitted.sha256.get(..12).unwrap_or_default()
        );
    }
    Ok(())
}

/// The first signal that came.
struct Signal {
    cancel: CancelToken,
    number: Arc<AtomicI32>,
}

impl Signal {
    fn first(&self) -> i32 {
        self.number.load(Ordering::SeqCst)
    }
}

/// From now on a signal asks for a stop. More of them change nothing: whoever wants an end at once has SIGKILL.
fn watch_for_signals() -> anyhow::Result<Signal> {
    let mut signals = signal_hook::iterator::Signals::new([SIGUSR1, SIGUSR2, SIGTERM, SIGINT])
        .context("cannot watch for signals")?;
    let signal = Signal { cancel: CancelToken::new(), number: Arc::default() };
    let (cancel, number) = (signal.cancel.clone(), signal.number.clone());
    let watch = move || {
        for found in signals.forever() {
            let first = number.compare_exchange(0, found, Ordering::SeqCst, Ordering::SeqCst).is_ok();
            if first {
                say!("signal {found}: saving and stopping...");
                cancel.cancel();
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch).context("cannot start a thread")?;
    Ok(signal)
}

/// Node and job, for people: in claims, reasons of failures, and provenance.
fn who() -> (String, Environment) {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let node = of("SLURMD_NODENAME").or(host).unwrap_or_else(|| "unknown node".to_owned());
    let job = match (of("SLURM_ARRAY_JOB_ID"), of("SLURM_ARRAY_TASK_ID")) {
        (Some(job), Some(task)) => Some(format!("{job}_{task}")),
        _ => of("SLURM_JOB_ID"),
    };
    let start = of("SLURM_RESTART_COUNT").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0) + 1;
    let text = match &job {
        Some(job) => format!("{node}, job {job}, start {start}"),
        None => format!("{node}, process {}", std::process::id()),
    };
    let fields = json!({ "node": node, "job": job });
    let serde_json::Value::Object(fields) = fields else { unreachable!("an object was written") };
    (text, environment().with(fields))
}
