//! `cargo xtask audit`: how robust a classifier is, whether the number can be believed, and an exit code for both.

use std::path::PathBuf;

use clap::Args;
use robin_core::{Budget, Epsilon, Norm};
use robin_evaluation::external_model::BadGradients;
use robin_experiments::external_model::{APPLICABLE, EvaluateReport, EvaluateRequest, Verdict, evaluate_and};
use robin_experiments::out;
use robin_report::Audit;
use serde::Serialize;

use super::evaluate::{Battery, print as print_numbers};
use super::gates::{GateArguments, pass};
use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::terminal::{Lost, answer};
use crate::{COMMIT, environment, interrupt};

/// Steps of the PGD that everybody reports.
const STEPS: usize = 20;

/// Which classifier and images, what is asked of it, and where the page goes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask audit --model net.onnx --dataset photographs --resize 256 --center-crop 224 --normalize none \\\n    \
    --norm linf --epsilon 4/255 --limit 100 --sample 0\n  \
    cargo xtask audit --model resnet18 --weights resnet18.pt --dataset cifar10 --normalize dataset --limit 1000 \\\n    \
    --norm linf --epsilon 8/255 --min-union 0.45 --deny fail --junit audit.xml\n\n\
    Checks the gradient, attacks by PGD-20 and AutoAttack (of few classes: the part of it that applies), runs the battery of\n\
    sanity checks, and writes OUT/audit.html and OUT/audit.md, which begin with the verdict. `explain NAME` says what a name in it\n\
    means. Interrupt it with Ctrl-C, and continue with the same command.\n\
    Exit codes: 0 done and let through, 1 the work failed, 2 wrong usage, 3 done and not let through by --min-union or --deny,\n\
    130 interrupted.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
    /// How perturbations are measured: l2 or linf.
    #[arg(long)]
    norm: Norm,
    /// The largest size, in pixels from 0 to 1: 8/255 or 0.5.
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    epsilon: Epsilon,
    /// Restarts of each attack but AutoAttack.
    #[arg(long, value_name = "N", default_value_t = 1)]
    restarts: u32,
    /// One more attack, with its authors' settings on all scores: fmn, cw, ...; may be given again.
    #[arg(long = "attack", value_name = "NAME")]
    attacks: Vec<String>,
    /// How much of the battery.
    #[arg(long, value_enum, default_value_t = Battery::Subset)]
    battery: Battery,
    /// Of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    gates: GateArguments,
    /// Folder of the page, and of ledger, findings and adversarial images; continued if they are there.
    #[arg(long, value_name = "DIR", default_value = "audit")]
    out: PathBuf,
    /// Also write what passes and what fails as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Audits, writes the page, and prints the verdict.
///
/// # Errors
/// As [`evaluate_and`]; if the page cannot be written; [`crate::exit::Unmet`] if a gate does not let the result through.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let request = EvaluateRequest {
        model: arguments.model.request(&arguments.device)?,
        images: arguments.images.request(),
        budget: Budget { norm: arguments.norm, epsilon: arguments.epsilon },
        steps: STEPS,
        restarts: arguments.restarts,
        attacks: [APPLICABLE.to_owned()].into_iter().chain(arguments.attacks.iter().cloned()).collect(),
        seed: arguments.seed,
        scope: arguments.battery.scope(),
        // A false gradient is a verdict, and no reason to give none.
        bad_gradients: BadGradients::Mark,
        out: arguments.out.clone(),
    };
    let cancel = interrupt::token()?;
    let mut report = None;
    let done = arguments.images.with(&cancel, |run_options| {
        Ok(evaluate_and(&request, run_options, &mut |found| report = Some(found))?)
    });
    let Some(report) = report else { return done };
    let verdict = Verdict::of(&report, &arguments.gates.gates());
    let written = write(arguments, &verdict, &report);
    // What was computed is shown, whatever happened then.
    let printed = match arguments.images.json {
        true => print_json(&Whole { verdict: &verdict, report: &report }),
        false => print(arguments, &verdict, &report).map_err(Into::into),
    };
    done.and(written).and(printed)?;
    Ok(pass(&verdict)?)
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Whole<'a> {
    verdict: &'a Verdict,
    report: &'a EvaluateReport,
}

/// Both pages into the folder, and JUnit's file where it was asked for.
fn write(arguments: &Arguments, verdict: &Verdict, report: &EvaluateReport) -> anyhow::Result<()> {
    let provenance = provenance();
    let audit = Audit { verdict, report, provenance: &provenance };
    out::write(&arguments.out.join("audit.md"), audit.markdown().as_bytes())?;
    out::write(&arguments.out.join("audit.html"), audit.html()?.as_bytes())?;
    match &arguments.junit {
        Some(path) => Ok(out::write(path, audit.junit().as_bytes())?),
        None => Ok(()),
    }
}

/// Which program, on which machine; without the time, so that the same audit is the same page.
fn provenance() -> Vec<(String, String)> {
    let commit = if COMMIT.is_empty() { "unknown" } else { COMMIT };
    let program = format!("robin {}, commit {commit}", env!("CARGO_PKG_VERSION"));
    vec![("program".to_owned(), program), ("machine".to_owned(), environment().machine().to_owned())]
}

/// The numbers, where the page is, and the verdict last, because that is what a terminal shows.
fn print(arguments: &Arguments, verdict: &Verdict, report: &EvaluateReport) -> Result<(), Lost> {
    print_numbers(report)?;
    answer!("page: {}", arguments.out.join("audit.html").display())?;
    verdict.lines().iter().try_for_each(|line| answer!("{line}"))
}
