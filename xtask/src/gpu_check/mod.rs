//! `cargo xtask gpu-check`: is a GPU right, and how fast is it? One program with all it needs but NVIDIA's libraries, so
//! that it can be carried to a machine without a toolchain.
//!
//! `networks`, `random`, `attacks`, `training` and `memory` compare the device with the CPU, `speed` measures, `report` writes.

#[cfg(feature = "cuda")]
mod attacks;
#[cfg(feature = "cuda")]
mod memory;
#[cfg(feature = "cuda")]
mod model_under_test;
#[cfg(feature = "cuda")]
mod networks;
#[cfg(feature = "cuda")]
mod random;
#[cfg(feature = "cuda")]
mod report;
#[cfg(feature = "cuda")]
mod speed;
#[cfg(all(test, feature = "cuda"))]
mod tests;
#[cfg(feature = "cuda")]
mod training;

use std::path::PathBuf;

use clap::Args;

/// What is checked, and where the report goes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask-cuda gpu-check\n  \
    cargo build --release --package xtask --features cuda,cudnn   # then carry target/release/xtask to the GPU:\n  \
    LD_LIBRARY_PATH=FOLDERS ./xtask gpu-check --out report\n\n\
    FOLDERS hold libnvrtc, libcublas and libcudnn: those of a CUDA toolkit, or of PyTorch (nvidia/*/lib beside torch).\n\
    Exit codes: 0 everything passed, 1 something did not, 2 wrong usage or no such device.")]
pub(crate) struct Arguments {
    /// The GPU, cuda:N; or `host`: this processor in its place, a rehearsal without speed
    #[arg(long, default_value = "cuda:0")]
    device: String,
    /// Folder of gpu-check.json and gpu-check.txt
    #[arg(long, value_name = "DIR", default_value = "gpu-check")]
    out: PathBuf,
    /// Measurements that would begin later than this are left out, and named
    #[arg(long, value_name = "N", default_value_t = 8.0)]
    minutes: f64,
    /// Interpreter of PyTorch: measures it in turn with ours
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { device, out: _, minutes: _, python: _ } = arguments;
    Err(robin_experiments::Error::MissingFeature { device: device.clone(), feature: "cuda" }.into())
}

#[cfg(feature = "cuda")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    use std::time::{Duration, Instant};

    use anyhow::{Context, ensure};

    let subject = model_under_test::ModelUnderTest::open(&arguments.device)?;
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let deadline = Instant::now() + Duration::from_secs_f64(60.0 * arguments.minutes);
    let mut report = report::Report::new(&subject, &arguments.out)?;
    for check in checks() {
        report.add(check, &subject)?;
    }
    report.measure(&subject, deadline, arguments.python.as_deref())?;
    let failed = report.failed();
    ensure!(failed == 0, "{failed} checks failed; see {}", arguments.out.join("gpu-check.txt").display());
    Ok(())
}

/// A check: what it is called, and what it finds.
#[cfg(feature = "cuda")]
struct Check {
    name: &'static str,
    work: fn(&model_under_test::ModelUnderTest) -> anyhow::Result<Vec<report::Finding>>,
}

#[cfg(feature = "cuda")]
fn checks() -> Vec<Check> {
    vec![
        Check { name: "random numbers are the CPU's", work: random::check },
        Check { name: "networks agree with the CPU", work: networks::agree },
        Check { name: "the same call gives the same bits", work: networks::repeat },
        Check { name: "an image does not depend on its companions", work: networks::companions },
        Check { name: "attacks on the device are those of the host", work: attacks::agree },
        Check { name: "training on the device is training on the CPU", work: training::agree },
        Check { name: "recorded steps are the steps", work: training::recorded },
        Check { name: "a full memory is an error that says so", work: memory::check },
        Check { name: "adversarial training learns", work: training::epochs },
    ]
}
