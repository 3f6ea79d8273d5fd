//! What can go wrong in an experiment, and whose turn it is to act.

use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Failures of planning, storing and running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is on no list.
    #[error("{what} {given:?} is unknown (one of: {valid})")]
    Unknown {
        /// What was named: item, profile, device...
        what: &'static str,
        /// What was given.
        given: String,
        /// The valid names.
        valid: String,
    },
    /// A row filter without a match.
    #[error("--rows {filter:?} matches no row of {item} (rows: {rows}{hint})")]
    NoRow {
        /// The filter.
        filter: String,
        /// The item.
        item: String,
        /// Its rows in this profile.
        rows: String,
        /// Where else there is one.
        hint: &'static str,
    },
    /// A number of images that an attack cannot have.
    #[error(
        "--attack-images {attack}={asked}: it must be from 1 to {there}, the images that the attack has otherwise"
    )]
    AttackImages {
        /// The attack.
        attack: String,
        /// The number.
        asked: usize,
        /// The images it has.
        there: usize,
    },
    /// A list of seeds that cannot be run.
    #[error("--seeds {}: {reason}", few(given))]
    Seeds {
        /// What was given.
        given: Vec<u64>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An option that must be at least 1.
    #[error("{option} is 0, it must be at least 1")]
    Zero {
        /// The option.
        option: &'static str,
    },
    /// More threads, or jobs, than the machine can use.
    #[error("{option} is {asked}, it can be at most {most}: this machine has {cores} cores")]
    TooMany {
        /// The option.
        option: &'static str,
        /// What was given.
        asked: usize,
        /// The most that is allowed.
        most: usize,
        /// Cores that this process may use.
        cores: usize,
    },
    /// An option that does not fit the others, or what they lead to.
    #[error("{option} {given}: {reason}")]
    Unfit {
        /// The option.
        option: &'static str,
        /// What was given.
        given: String,
        /// What is wrong with it, and what is allowed.
        reason: String,
    },
    /// Results of other settings, where these should be continued.
    #[error("{}: made with {field} {found}, now {expected}; choose another --out, or give the old setting",
        path.display())]
    OtherSettings {
        /// The file with the old settings.
        path: PathBuf,
        /// The first that differs.
        field: String,
        /// What it was.
        found: String,
        /// What it is now.
        expected: String,
    },
    /// An option outside what is allowed, by itself or with the others.
    #[error("{option} is {value}, allowed is {allowed}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// A result folder that belongs to other settings.
    #[error(
        "{}: holds a training with other settings: {field} was {was}, now it is {asked}; give the old settings to \
         continue it, or another --out",
        folder.display()
    )]
    OtherRun {
        /// The folder.
        folder: PathBuf,
        /// The first field that differs.
        field: String,
        /// What it was.
        was: String,
        /// What was asked for now.
        asked: String,
    },
    /// A result folder with something in it that no settings belong to.
    #[error(
        "{}: holds {found} and no {settings}, so nobody knows what it is of; choose another --out",
        folder.display()
    )]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// A file or folder in it.
        found: String,
        /// The file that would say.
        settings: &'static str,
    },
    /// A link, or something else that leads elsewhere, where files are to be written.
    #[error(
        "{}: is a link or no plain file, and nothing is written through one; put what it leads to in its place, or choose another \
         --out",
        path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// A device that this build cannot use.
    #[error(
        "device {device} needs the cargo feature `{feature}`, which this build does not have; `cargo xtask-cuda` builds with \
         `--features cuda,cudnn`, on any machine; `candle-cuda` needs NVIDIA's compiler"
    )]
    MissingFeature {
        /// The device asked for.
        device: String,
        /// The feature that provides it.
        feature: &'static str,
    },
    /// A device that cannot be used here.
    #[error("device {device} cannot be used: {reason}")]
    Device {
        /// The device asked for.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// A spec that is no spec.
    #[error("the spec of {item} cannot be read")]
    Spec {
        /// The item.
        item: String,
        /// Position and reason.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A setting in a spec that contradicts another, or a profile that does more than shrink.
    #[error("spec of {item}, {place}: {reason}")]
    Setting {
        /// The item.
        item: String,
        /// Where in the spec.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// Data that cannot be loaded.
    #[error("cannot load data set {dataset} ({place})")]
    Data {
        /// The data set.
        dataset: String,
        /// Folder, or `embedded`.
        place: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A file operation that failed.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A disk that is too full to begin.
    #[error("{}: {needed} bytes are needed for the results, {free} are free", folder.display())]
    NoSpace {
        /// The result folder.
        folder: PathBuf,
        /// Estimate of what the run writes.
        needed: u64,
        /// What the file system has left.
        free: u64,
    },
    /// Two runs at once.
    #[error("{}: another run is using this folder (it holds {}); wait for it, or choose another --out",
        folder.display(), lock.display())]
    Locked {
        /// The result folder.
        folder: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// A record or weight file that is not what was written.
    #[error(
        "{}: {what}: expected {expected}, found {found}; delete the file to have it recomputed",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which property.
        what: &'static str,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A whole record that does not say what its kind says.
    #[error(
        "record {key} ({kind}): results.{name} {reason}; delete {}/{key}.json to have it recomputed",
        if *kind == "network" { "networks" } else { "evaluations" }
    )]
    Results {
        /// What the record is.
        kind: &'static str,
        /// Its key.
        key: crate::key::Key,
        /// The result.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An evaluation whose network is not there.
    #[error("not run, because {label} failed")]
    Dependency {
        /// The cell that failed first.
        label: String,
    },
    /// Settings of a cluster that cannot be read or meant.
    #[error("{place}: {reason}")]
    Cluster {
        /// The file, or the option.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A file of a submitted plan that is not what was written.
    #[error("{}: {reason}; submit again, results that are there are kept", path.display())]
    Submission {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A cell whose network has no record.
    #[error("not run, because {label} has no record")]
    NoRecord {
        /// The network.
        label: String,
    },
    /// A cell that another process has begun after this one.
    #[error(
        "{label}: another start has taken this cell over ({by}); this one has stopped and written nothing"
    )]
    Overtaken {
        /// The cell.
        label: String,
        /// Who.
        by: String,
    },
    /// A result folder that was there and no longer is.
    #[error(
        "{}: the result folder is no longer there; see that this node has the file system, and submit what is missing \
         with `cargo xtask retry`",
        folder.display()
    )]
    Vanished {
        /// The result folder.
        folder: PathBuf,
    },
    /// A key of a submitted plan that this program does not compute.
    #[error(
        "this program computes other keys than the one that submitted the plan: it has no cell {key} in {items}; submit \
         again with this program, or run the one that submitted"
    )]
    OtherKeys {
        /// The key.
        key: String,
        /// The items that were planned.
        items: String,
    },
    /// A cell's work panicked.
    #[error("panicked: {message}")]
    Panic {
        /// The panic's message.
        message: String,
    },
    /// Somebody asked to stop.
    #[error("interrupted; give the same command again to continue")]
    Cancelled,
    /// Settings or results that JSON cannot hold, or a file of them that is none.
    #[error("cannot read or write {what} as JSON")]
    Json {
        /// Settings or results.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The pool of a run could not be started.
    #[error("cannot start {threads} worker threads")]
    Threads {
        /// How many.
        threads: usize,
        /// Why.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// A library below failed.
    #[error("{doing} failed")]
    Work {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: Source,
    },
}

/// A list as it was given, or where it is long its beginning and how long it is.
fn few(given: &[u64]) -> String {
    const SHOWN: usize = 8;
    match given.get(..SHOWN) {
        Some(first) if given.len() > SHOWN => format!("{first:?} and so on, {} in all", given.len()),
        _ => format!("{given:?}"),
    }
}

impl Error {
    /// Whether the command line is at fault, not the work: exit code 2.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Error::Unknown { .. }
                | Error::NoRow { .. }
                | Error::AttackImages { .. }
                | Error::Seeds { .. }
                | Error::Zero { .. }
                | Error::TooMany { .. }
                | Error::Option { .. }
                | Error::OtherRun { .. }
                | Error::Occupied { .. }
                | Error::Link { .. }
                | Error::MissingFeature { .. }
                | Error::Device { .. }
                | Error::Unfit { .. }
                | Error::OtherSettings { .. }
                | Error::Cluster { .. }
        )
    }

    /// Whether the work was stopped on request: exit code 130.
    pub fn is_cancelled(&self) -> bool {
        let evaluation = |source: &Source| {
            source
                .downcast_ref::<robin_evaluation::Error>()
                .is_some_and(robin_evaluation::Error::is_cancelled)
        };
        match self {
            Error::Cancelled => true,
            Error::Work { source, .. } => evaluation(source),
            _ => false,
        }
    }

    /// Whether this is more than the answer to a request to stop: a file that could not be written, and what it would
    /// have held is lost.
    pub(crate) fn is_lost_file(&self) -> bool {
        use robin_training::Error as Training;
        let lost = |source: &Source| {
            matches!(source.downcast_ref(), Some(Training::Io { .. } | Training::Damaged { .. }))
        };
        match self {
            Error::Io { .. } => true,
            Error::Work { source, .. } => lost(source),
            _ => false,
        }
    }

    /// The error and its causes, on one line.
    pub fn chain(&self) -> String {
        let causes = std::iter::successors(Some(self as &dyn std::error::Error), |error| error.source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    /// Refuses the number of `option` if it is not from 1 to `most`.
    pub(crate) fn check_count(option: &'static str, value: usize, most: usize) -> Result<()> {
        match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::Option { option, value: value.to_string(), allowed: format!("1 to {most}") }),
        }
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { path, action, source }
    }

    pub(crate) fn work<E>(doing: &'static str) -> impl FnOnce(E) -> Error
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Error::Work { doing, source: Box::new(source) }
    }
}
