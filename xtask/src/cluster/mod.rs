//! A plan on a cluster: `submit`, `status`, `retry`, `cancel`, and what runs there, `run-cell` and `collect`.

pub(crate) mod cancel;
pub(crate) mod collect;
pub(crate) mod resources;
#[cfg(unix)]
pub(crate) mod run_cell;
mod slurm;
pub(crate) mod status;
pub(crate) mod submit;

use std::path::PathBuf;

use clap::Args;
use robin_experiments::cluster::submission::Folder;

/// A submitted plan.
#[derive(Debug, Clone, Args)]
pub(crate) struct Submitted {
    /// Folder of the results.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// The plan, by its name [default: the one that was submitted last].
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
}

impl Submitted {
    fn folder(&self) -> anyhow::Result<Folder> {
        Ok(Folder::find(&std::path::absolute(&self.out)?, self.plan.as_deref())?)
    }
}
