//! `cargo xtask fixtures`: the data subset that is compiled in.

use std::path::PathBuf;

use clap::Args;

use crate::terminal::answer;
use crate::{data, root};

/// Makes the subset from the full data sets, or compares.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask fixtures --check --data-dir data")]
pub(crate) struct Arguments {
    /// Write nothing; fail if the files differ from what would be made.
    #[arg(long)]
    check: bool,
    /// Folder of the full data sets [default: ROBIN_DATA, else the platform's cache folder].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let data_dir = data::folder(arguments.data_dir.as_ref())?;
    let subset = root().join("crates/data/subset");
    if arguments.check {
        robin_data::embedded::check(&data_dir, &subset)?;
        answer!("the files in {} are what would be made", subset.display())?;
        return Ok(());
    }
    for (file, sha256) in robin_data::embedded::generate(&data_dir, &subset)? {
        answer!("{sha256}  {file}")?;
    }
    Ok(())
}
