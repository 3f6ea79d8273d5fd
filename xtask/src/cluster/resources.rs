//! What Slurm is asked for, from the command line and from a cluster's file.

use std::path::PathBuf;

use clap::Args;
use robin_experiments::Error;
use robin_experiments::cluster::settings::Cluster;

/// Options of Slurm's, under its names. They go before those of the cluster's file.
#[derive(Debug, Clone, Args)]
pub(crate) struct Resources {
    /// Settings of the cluster: docs/slurm.md has an example.
    #[arg(long, value_name = "FILE.toml")]
    cluster: Option<PathBuf>,
    /// Partition.
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Account.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Quality of service.
    #[arg(long, value_name = "NAME")]
    qos: Option<String>,
    /// Time limit of a task, in Slurm's notation [default: three times the estimate, and ten minutes].
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// GPUs of a task: N, or TYPE:N.
    #[arg(long, value_name = "N")]
    gpus: Option<String>,
    /// Cores of a task, and cells that it runs side by side [default: 2].
    #[arg(long, value_name = "N")]
    cpus: Option<usize>,
    /// Memory of a task [default: 4G].
    #[arg(long, value_name = "SIZE")]
    mem: Option<String>,
    /// Tasks of one array that run at once [default: as many as there is room for].
    #[arg(long, value_name = "N")]
    max_concurrent: Option<usize>,
    /// Minutes that a task takes at least: smaller cells share one [default: 5].
    #[arg(long, value_name = "MINUTES")]
    task_minutes: Option<f64>,
    /// A further option for sbatch, word for word: --sbatch-arg=--constraint=a100. May be repeated.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch_arg: Vec<String>,
}

impl Resources {
    /// The whole of it; what is said neither here nor in the file is as `before` has it.
    pub(crate) fn settings(&self, before: Option<Cluster>) -> Result<Cluster, Error> {
        let own = Cluster {
            partition: self.partition.clone(),
            account: self.account.clone(),
            qos: self.qos.clone(),
            time: self.time.clone(),
            gpus: self.gpus.clone(),
            cpus: self.cpus,
            mem: self.mem.clone(),
            max_concurrent: self.max_concurrent,
            task_minutes: self.task_minutes,
            sbatch: self.sbatch_arg.clone(),
            ..Cluster::default()
        };
        own.check().map_err(|reason| Error::Cluster { place: "the command line".to_owned(), reason })?;
        let file = self.cluster.as_deref().map(Cluster::read).transpose()?;
        Ok(match (file, before) {
            (Some(file), _) => own.or(file),
            (None, Some(before)) => own.or(before),
            (None, None) => own,
        })
    }
}
