//! What a batch system is told beyond the work: one TOML file per cluster, and the same from the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Everything that is a cluster's, and nothing that decides a result. What is not said is left to the cluster, but for
/// [`Cluster::cpus`], [`Cluster::mem`] and the time limit, which are always said.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cluster {
    /// `--partition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// `--account`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `--qos`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// `--time` of every task, in Slurm's own notation; else three times the estimate of the longest, and ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// GPUs of a task: a number, or `TYPE:NUMBER`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
    /// Cores of a task, and cells that it runs side by side; else 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<usize>,
    /// `--mem` of a task; else 4G.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem: Option<String>,
    /// Tasks of one array that run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<usize>,
    /// Seconds before the time limit at which a task saves what it has and asks for another turn; else 120, and never more
    /// than a quarter of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal_seconds: Option<u64>,
    /// Minutes that a task should take at least: small cells are packed; else 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_minutes: Option<f64>,
    /// Further options of `sbatch`, word for word: `--constraint=a100`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sbatch: Vec<String>,
    /// Lines of shell before the work: `module load cuda/12.4`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// Stands before the program: `apptainer exec --nv image.sif`. The result folder must be there inside, under its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Variables of the work, as in the shell's double quotes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Folder for temporary files on the node (TMPDIR), as in the shell's double quotes; it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
}

impl Cluster {
    /// A cluster's file.
    ///
    /// # Errors
    /// [`Error::Cluster`] with the position of what cannot be read, or what cannot be meant; [`Error::Io`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path, "read the cluster's settings"))?;
        let fault = |reason: String| Error::Cluster { place: path.display().to_string(), reason };
        let cluster: Self = toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
        cluster.check().map_err(fault)?;
        Ok(cluster)
    }

    /// `self`, and what it does not say from `other`; lists one after the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut environment = other.environment;
        environment.extend(self.environment);
        Self {
            partition: self.partition.or(other.partition),
            account: self.account.or(other.account),
            qos: self.qos.or(other.qos),
            time: self.time.or(other.time),
            gpus: self.gpus.or(other.gpus),
            cpus: self.cpus.or(other.cpus),
            mem: self.mem.or(other.mem),
            max_concurrent: self.max_concurrent.or(other.max_concurrent),
            signal_seconds: self.signal_seconds.or(other.signal_seconds),
            task_minutes: self.task_minutes.or(other.task_minutes),
            sbatch: other.sbatch.into_iter().chain(self.sbatch).collect(),
            setup: other.setup.into_iter().chain(self.setup).collect(),
            container: self.container.or(other.container),
            environment,
            scratch: self.scratch.or(other.scratch),
        }
    }

    /// In words, what cannot be meant.
    ///
    /// # Errors
    /// The setting, its value and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        let words = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("gpus", &self.gpus),
            ("mem", &self.mem),
        ];
        for (name, value) in words {
            if let Some(value) = value
                && (value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()))
            {
                return Err(format!("{name} is {value:?}, allowed is one word"));
            }
        }
        if let Some(time) = &self.time {
            seconds(time)?;
        }
        for (name, value) in [("cpus", self.cpus), ("max-concurrent", self.max_concurrent)] {
            if value == Some(0) {
                return Err(format!("{name} is 0, allowed is 1 or more"));
            }
        }
        if let Some(minutes) = self.task_minutes
            && !(minutes >= 0.0 && minutes.is_finite())
        {
            return Err(format!("task-minutes is {minutes}, allowed is 0 or more"));
        }
        if let Some(option) =
            self.sbatch.iter().find(|option| !option.starts_with('-') || option.contains('\n'))
        {
            return Err(format!(
                "sbatch has {option:?}, allowed are options that begin with -, each on one line"
            ));
        }
        let identifier = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match self.environment.keys().find(|name| !identifier(name)) {
            Some(name) => Err(format!("environment has {name:?}, allowed are letters, digits and _")),
            None => Ok(()),
        }
    }

    /// Cores of a task.
    pub fn cores(&self) -> usize {
        self.cpus.unwrap_or(2)
    }

    /// Seconds that a task should take at least.
    pub fn task_seconds(&self) -> f64 {
        60.0 * self.task_minutes.unwrap_or(5.0)
    }

    /// The time limit of a task that is estimated to take `estimate` seconds: in Slurm's notation, and in seconds.
    ///
    /// # Errors
    /// As [`seconds`].
    pub fn limit(&self, estimate: f64) -> Result<(String, u64), String> {
        if let Some(time) = &self.time {
            return Ok((time.clone(), seconds(time)?));
        }
        // In whole steps of five minutes, as people write it.
        let minutes = ((3.0 * estimate + 600.0) / 300.0).ceil() as u64 * 5;
        Ok((format!("{:02}:{:02}:00", minutes / 60, minutes % 60), minutes * 60))
    }

    /// Seconds before a limit of `limit` seconds at which a task is told.
    pub fn warning(&self, limit: u64) -> u64 {
        self.signal_seconds.unwrap_or(120).min(limit / 4)
    }
}

/// A time limit in Slurm's notation: minutes, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`.
///
/// # Errors
/// In words, if it is none.
pub fn seconds(time: &str) -> Result<u64, String> {
    let fault =
        || format!("time is {time:?}, allowed are minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM and D-HH:MM:SS");
    let numbers = |text: &str| -> Result<Vec<u64>, String> {
        text.split(':').map(|part| part.parse().map_err(|_| fault())).collect()
    };
    let total = match time.split_once('-') {
        Some((days, rest)) => {
            let days: u64 = days.parse().map_err(|_| fault())?;
            let rest = numbers(rest)?;
            let weights = [3_600, 60, 1];
            if rest.len() > weights.len() {
                return Err(fault());
            }
            days * 86_400 + rest.iter().zip(weights).map(|(number, weight)| number * weight).sum::<u64>()
        }
        None => match numbers(time)?[..] {
            [minutes] => minutes * 60,
            [minutes, seconds] => minutes * 60 + seconds,
            [hours, minutes, seconds] => hours * 3_600 + minutes * 60 + seconds,
            _ => return Err(fault()),
        },
    };
    if total == 0 { Err(fault()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_read_as_slurm_reads_them() {
        for (text, expected) in [
            ("90", 5_400),
            ("10:30", 630),
            ("04:00:00", 14_400),
            ("1-0", 86_400),
            ("2-03:30", 2 * 86_400 + 12_600),
            ("1-00:00:05", 86_405),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "4h", "1:2:3:4", "1-2:3:4:5", "-5"] {
            assert!(seconds(text).unwrap_err().contains("HH:MM:SS"), "{text}");
        }
    }

    #[test]
    fn the_example_is_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster.toml");
        let cluster = Cluster::read(&path).unwrap();
        assert_eq!((cluster.cores(), cluster.limit(1.0).unwrap().1), (4, 8 * 3_600));
    }

    #[test]
    fn what_is_no_setting_of_a_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        for (text, expected) in [
            ("partitoin = \"gpu\"", "partitoin"),
            ("threads = 4", "threads"),
            ("time = \"4h\"", "HH:MM:SS"),
            ("cpus = 0", "cpus is 0"),
            ("sbatch = [\"exclusive\"]", "begin with -"),
            ("partition = \"a b\"", "one word"),
            ("[environment]\n\"A B\" = \"1\"", "letters, digits"),
        ] {
            fs::write(&path, text).unwrap();
            let error = Cluster::read(&path).unwrap_err();
            let whole = error.to_string();
            assert!(
                error.is_usage() && whole.contains(expected) && whole.contains("cluster.toml"),
                "{whole}"
            );
        }
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = Cluster {
            partition: Some("long".to_owned()),
            mem: Some("8G".to_owned()),
            sbatch: vec!["--nice".to_owned()],
            ..Cluster::default()
        };
        let line = Cluster {
            partition: Some("short".to_owned()),
            sbatch: vec!["--exclude=n3".to_owned()],
            ..Cluster::default()
        };
        let both = line.or(file);
        assert_eq!((both.partition.as_deref(), both.mem.as_deref()), (Some("short"), Some("8G")));
        assert_eq!(both.sbatch, ["--nice", "--exclude=n3"]);
    }

    #[test]
    fn a_limit_leaves_room_and_a_warning_leaves_time_to_work() {
        let cluster = Cluster::default();
        assert_eq!(cluster.limit(20.0).unwrap(), ("00:15:00".to_owned(), 900));
        assert_eq!(cluster.limit(7_200.0).unwrap().1, 3 * 7_200 + 600);
        assert_eq!((cluster.warning(14_400), cluster.warning(60)), (120, 15));
    }
}
