//! `cargo xtask doctor`: what this machine has, what is missing, and what would make it faster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use robin_data::DatasetName;
use robin_experiments::Device;
use serde_json::{Value, json};

use crate::terminal::answer;
use crate::{data, environment};

/// Where to look.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask doctor\n  cargo xtask doctor --out results --data-dir data\n\n\
    Nothing is changed, and nothing is sent anywhere."
)]
pub struct Arguments {
    /// Folder of the results, for the free disk.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Prints what was found, and what would help.
///
/// # Errors
/// If it cannot be printed, or a folder cannot be looked at.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let facts = Facts::gather(arguments)?;
    for (what, which) in facts.lines() {
        answer!("{what:<14} {which}")?;
    }
    let advice = facts.advice();
    answer!("")?;
    match advice.is_empty() {
        true => answer!("Nothing to improve was found.")?,
        false => answer!("What would help:")?,
    }
    for line in advice {
        answer!("- {line}")?;
    }
    Ok(())
}

/// What was found.
#[derive(Debug, Clone)]
struct Facts {
    version: String,
    commit: Option<String>,
    optimised: bool,
    machine: String,
    instructions: String,
    /// Cores that this process may use, and that the machine has, where it says.
    cores: (usize, Option<usize>),
    /// Bytes in all and free, where the system says.
    memory: Option<(u64, u64)>,
    /// Processes that want a core, on average over the last minute.
    load: Option<f64>,
    /// Whether the system gives huge pages to nobody.
    no_huge_pages: bool,
    /// Whether the system has a driver of NVIDIA's, whether this program can use it, and what came of that.
    gpu: (bool, bool, String),
    data_dir: PathBuf,
    /// Of each data set, how many of its files are there and whole.
    data: Vec<(DatasetName, usize, usize)>,
    out: PathBuf,
    free_disk: u64,
}

impl Facts {
    fn gather(arguments: &Arguments) -> anyhow::Result<Self> {
        let environment = environment();
        let fields = environment.provenance(json!({}));
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let data_dir = data::folder(arguments.data_dir.as_ref())?;
        let data = DatasetName::ALL.iter().map(|&name| {
            let files = robin_data::verify(name, &data_dir)?;
            Ok((name, files.iter().filter(|file| file.is_ok()).count(), files.len()))
        });
        let cuda = cfg!(feature = "cuda");
        let gpu = match "cuda:0".parse::<Device>() {
            Ok(device) => format!("{device} can be used"),
            Err(error) if cuda => format!("cannot be used: {error}"),
            Err(_) => "this program is built without CUDA".to_owned(),
        };
        let out = nearest(&arguments.out);
        let proc = |name: &str| fs::read_to_string(Path::new("/proc").join(name)).ok();
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: text("commit"),
            optimised: !cfg!(debug_assertions),
            machine: environment.machine().to_owned(),
            instructions: text("instructions").unwrap_or_else(|| "unknown".to_owned()),
            cores: (
                std::thread::available_parallelism().map_or(1, usize::from),
                proc("cpuinfo").map(|text| text.lines().filter(|line| line.starts_with("processor")).count()),
            ),
            memory: proc("meminfo").and_then(|text| memory(&text)),
            load: proc("loadavg").and_then(|text| text.split(' ').next()?.parse().ok()),
            no_huge_pages: fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
                .is_ok_and(|text| text.contains("[never]")),
            gpu: (Path::new("/proc/driver/nvidia").exists(), cuda, gpu),
            data: data.collect::<Result<_, robin_data::Error>>()?,
            data_dir,
            free_disk: fs4::available_space(&out)
                .with_context(|| format!("cannot ask for the free space of {}", out.display()))?,
            out: arguments.out.clone(),
        })
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let (used, all) = self.cores;
        let commit = self.commit.as_deref().unwrap_or("unknown");
        let built = if self.optimised { "optimised" } else { "with checks for development, so slower" };
        let mut lines = vec![
            ("program", format!("robin {}, commit {commit}, built {built}", self.version)),
            ("machine", self.machine.clone()),
            ("instructions", self.instructions.clone()),
            (
                "threads",
                match all.filter(|all| *all > used) {
                    Some(all) => format!("{used} of {all} cores may be used"),
                    None => format!("{used}, one a core"),
                },
            ),
            (
                "memory",
                match self.memory {
                    Some((all, free)) => format!("{:.1} GB, {:.1} GB free", gigabytes(all), gigabytes(free)),
                    None => "unknown on this system".to_owned(),
                },
            ),
            ("GPU", self.gpu.2.clone()),
        ];
        for (name, whole, files) in &self.data {
            let state = match whole {
                0 => "not there; the subset inside the program is".to_owned(),
                whole if whole == files => "whole".to_owned(),
                whole => format!("{whole} of {files} files are whole"),
            };
            lines.push(("data", format!("{name} in {}: {state}", self.data_dir.display())));
        }
        lines.push(("disk", format!("{:.1} GB free for {}", gigabytes(self.free_disk), self.out.display())));
        lines
    }

    /// What would make it faster, or is missing, each with what to do.
    fn advice(&self) -> Vec<String> {
        let mut advice = Vec::new();
        let (used, all) = self.cores;
        if !self.optimised {
            advice.push(
                "build with optimisation: `cargo build --release -p xtask`, then `target/release/xtask`"
                    .to_owned(),
            );
        }
        if self.instructions == "portable" {
            advice.push(
                "this processor has neither AVX2 nor AVX-512, for which the kernels are written: another machine is several \
                 times as fast"
                    .to_owned(),
            );
        }
        if let Some(all) = all.filter(|all| *all > used) {
            advice.push(format!(
                "{used} of {all} cores may be used: a wider limit of the container or of `taskset` helps"
            ));
        }
        if let Some(load) = self.load.filter(|load| *load > 0.5 * used as f64 && used > 0) {
            advice
                .push(format!("other work wants {load:.1} of {used} cores: on an idle machine it is faster"));
        }
        if self.no_huge_pages {
            advice.push(
                "huge pages are switched off (/sys/kernel/mm/transparent_hugepage/enabled): `madvise` gives them to who asks"
                    .to_owned(),
            );
        }
        if self.gpu.0 && !self.gpu.1 {
            advice.push(
                "there is a GPU of NVIDIA's: `cargo xtask-cuda gpu-check` says whether it can be used"
                    .to_owned(),
            );
        }
        if let Some((_, free)) = self.memory.filter(|(_, free)| gigabytes(*free) < ENOUGH_MEMORY) {
            advice.push(format!(
                "{:.1} GB of memory are free: networks wider than those of profile quick may not fit",
                gigabytes(free)
            ));
        }
        if gigabytes(self.free_disk) < ENOUGH_DISK {
            advice.push(format!(
                "{:.1} GB of disk are free: profile paper writes more",
                gigabytes(self.free_disk)
            ));
        }
        for (name, whole, files) in &self.data {
            // The paper's are those of which a part is inside the program.
            if whole < files && name.has_subset() {
                advice.push(format!("for every profile but smoke: `cargo xtask data fetch {name}`"));
            }
        }
        advice
    }
}

/// Gigabytes of memory that `myrtle` and `resnet18` train in at full width, with room for the system.
const ENOUGH_MEMORY: f64 = 2.0;

/// Gigabytes of disk that the paper's settings take at most.
const ENOUGH_DISK: f64 = 5.0;

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// The folder, or the nearest one above it that is there.
fn nearest(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|above| above.exists()).unwrap_or(Path::new(".")).to_owned()
}

/// Bytes in all and available, from `/proc/meminfo`.
fn memory(text: &str) -> Option<(u64, u64)> {
    let of = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some((of("MemTotal")?, of("MemAvailable")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            version: "0.1.0".to_owned(),
            commit: None,
            optimised: true,
            machine: "a processor".to_owned(),
            instructions: "avx512".to_owned(),
            cores: (2, Some(2)),
            memory: Some((8_000_000_000, 6_000_000_000)),
            load: Some(0.1),
            no_huge_pages: false,
            gpu: (false, false, "none".to_owned()),
            data_dir: PathBuf::from("data"),
            data: vec![(DatasetName::Mnist, 4, 4)],
            out: PathBuf::from("results"),
            free_disk: 100_000_000_000,
        }
    }

    #[test]
    fn each_thing_that_is_missing_has_its_advice_and_nothing_else_has() {
        assert_eq!(facts().advice(), [""; 0]);
        type Change = fn(&mut Facts);
        let changes: [(Change, &str); 8] = [
            (|facts| facts.optimised = false, "cargo build --release"),
            (|facts| facts.instructions = "portable".to_owned(), "AVX2"),
            (|facts| facts.cores = (2, Some(64)), "2 of 64 cores"),
            (|facts| facts.load = Some(1.9), "other work wants 1.9 of 2 cores"),
            (|facts| facts.no_huge_pages = true, "madvise"),
            (|facts| facts.gpu.0 = true, "cargo xtask-cuda gpu-check"),
            (|facts| facts.free_disk = 1_000_000_000, "1.0 GB of disk"),
            (|facts| facts.data[0].1 = 3, "cargo xtask data fetch mnist"),
        ];
        for (change, expected) in changes {
            let mut found = facts();
            change(&mut found);
            let advice = found.advice();
            assert!(matches!(&advice[..], [one] if one.contains(expected)), "{expected}: {advice:?}");
        }
    }

    #[test]
    fn memory_is_read_as_the_system_writes_it() {
        let text = "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(memory(text), Some((16_777_216, 8_388_608)));
        assert_eq!(memory("nothing"), None);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&folder.path().join("a/b/c")), folder.path());
    }

    #[test]
    fn this_machine_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let arguments =
            Arguments { out: folder.path().join("results"), data_dir: Some(folder.path().to_owned()) };
        let facts = Facts::gather(&arguments).unwrap();
        let lines = facts.lines();
        let of = |what: &str| lines.iter().filter(|(name, _)| *name == what).count();
        assert_eq!((of("program"), of("data"), of("disk")), (1, DatasetName::ALL.len(), 1), "{lines:?}");
        assert!(facts.free_disk > 0 && facts.cores.0 > 0);
        assert!(facts.advice().iter().any(|line| line.contains("data fetch mnist")));
    }
}
