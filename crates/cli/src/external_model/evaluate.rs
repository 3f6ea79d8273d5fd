//! `cargo xtask evaluate`: a classifier in full, with the battery of sanity checks.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use robin_core::{Budget, Epsilon, Norm, Seed};
use robin_evaluation::battery::{Finding, Scope, Status, title};
use robin_evaluation::controls::{Control, self_test};
use robin_experiments::external_model::verdict::warnings;
use robin_experiments::external_model::{
    EvaluateReport, EvaluateRequest, ModelRequest, OfClass, Verdict, evaluate_and,
};

use super::attack::{bad_gradients, zero_gradients};
use super::gates::{GateArguments, pass};
use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::{Lost, answer, say};

/// Which classifier and images, and how much is tried.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask evaluate --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded --limit 200 \\\n    \
    --norm linf --epsilon 25/255 --out evaluation\n  \
    cargo xtask evaluate --self-test\n\n\
    Interrupt it with Ctrl-C, and continue with the same command: finished attacks and tests are not run again.\n\
    Exit codes: 0 done, 1 the work or a control failed, 2 wrong usage, 3 done and not let through by --min-union or --deny,\n\
    130 interrupted.")]
pub struct Arguments {
    /// Try the battery on classifiers that only look robust, and on some whose robustness is known; needs no
    /// model.
    #[arg(long, exclusive = true)]
    self_test: bool,
    #[command(flatten)]
    model: Option<ModelArguments>,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: Option<ImagesArguments>,
    #[command(flatten)]
    evaluation: Option<Evaluation>,
    #[command(flatten)]
    gates: GateArguments,
}

#[derive(Debug, Args)]
struct Evaluation {
    /// How perturbations are measured: l2 or linf.
    #[arg(long)]
    norm: Norm,
    /// The largest size, in pixels from 0 to 1: 8/255 or 0.5.
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    epsilon: Epsilon,
    /// Steps of the gradient attacks.
    #[arg(long, value_name = "N", default_value_t = 20)]
    steps: usize,
    /// Restarts of each attack of the suite.
    #[arg(long, value_name = "N", default_value_t = 1)]
    restarts: u32,
    /// One more attack beside the suite, with its authors' settings on all scores: autoattack, cw, ...; may be
    /// given again.
    #[arg(long = "attack", value_name = "NAME")]
    attacks: Vec<String>,
    /// How much of the battery.
    #[arg(long, value_enum, default_value_t = Battery::Subset)]
    battery: Battery,
    /// Of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of ledger, findings and adversarial images; continued if they are there.
    #[arg(long, value_name = "DIR", default_value = "evaluation")]
    out: PathBuf,
    /// Attack although the gradient is not that of the scores, and mark the result.
    #[arg(long)]
    allow_bad_gradients: bool,
}

impl Arguments {
    /// Whether a classifier, images and a budget were given.
    #[cfg(test)]
    pub(crate) fn is_whole(&self) -> bool {
        self.model.is_some() && self.images.is_some() && self.evaluation.is_some()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Battery {
    /// 64 images from all over the set, fewer if the network is large (not below 8), and fewer steps and samples.
    Subset,
    /// Without limits.
    Full,
}

impl Battery {
    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Subset => Scope::Subset,
            Self::Full => Scope::Full,
        }
    }
}

/// Evaluates, or tries the battery, and prints what came of it.
///
/// # Errors
/// As [`evaluate_and`]; if a control is not seen through; [`crate::exit::Unmet`] if a gate does not let the result through.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.self_test {
        return tested();
    }
    match (&arguments.model, &arguments.images, &arguments.evaluation) {
        (Some(model), Some(images), Some(evaluation)) => {
            evaluated(model.request(&arguments.device)?, images, evaluation, arguments.gates)
        }
        _ => Err(robin_experiments::Error::Unfit {
            option: "evaluate",
            given: "without a classifier, images or a budget".to_owned(),
            reason: "give --model, --weights, --dataset, --norm and --epsilon, or --self-test".to_owned(),
        }
        .into()),
    }
}

fn evaluated(
    model: ModelRequest,
    images: &ImagesArguments,
    arguments: &Evaluation,
    gates: GateArguments,
) -> anyhow::Result<()> {
    let request = EvaluateRequest {
        model,
        images: images.request(),
        budget: Budget { norm: arguments.norm, epsilon: arguments.epsilon },
        steps: arguments.steps,
        restarts: arguments.restarts,
        attacks: arguments.attacks.clone(),
        seed: arguments.seed,
        scope: arguments.battery.scope(),
        bad_gradients: bad_gradients(arguments.allow_bad_gradients),
        out: arguments.out.clone(),
    };
    let cancel = interrupt::token()?;
    let mut found = None;
    let done = images.with(&cancel, |run_options| {
        Ok(evaluate_and(&request, run_options, &mut |report| found = Some(report))?)
    });
    let Some(report) = found else { return done };
    let verdict = Verdict::of(&report, &gates.gates());
    // What was computed is shown, whatever happened then.
    let printed = match images.json {
        true => print_json(&report),
        false => print(&report).map_err(Into::into),
    };
    done.and(printed)?;
    if gates.are_set() && !images.json {
        let [_, _, passage] = verdict.lines();
        answer!("{passage}")?;
    }
    Ok(pass(&verdict)?)
}

/// Every number, and what the tests say.
pub(super) fn print(report: &EvaluateReport) -> Result<(), Lost> {
    let summary = &report.summary;
    answer!("{}, n {}", report.budget, summary.n)?;
    let line = |name: &str, accuracy: f64, interval: robin_evaluation::Interval, more: &str| {
        answer!("  {name:<48} {accuracy:.4} [{:.4}, {:.4}]{more}", interval.low, interval.high)
    };
    line("clean", summary.clean_accuracy, summary.clean_interval, "")?;
    for attack in &summary.attacks {
        let before = if attack.staged { " (and before)" } else { "" };
        let name = format!("{}{before}", attack.attack);
        let zero = format!("  {}", zero_gradients(attack.zero_gradient_share));
        line(&name, attack.accuracy, attack.interval, &zero)?;
    }
    answer!("  {:<48} {:.4}", "lowest of one attack (what papers print)", summary.paper)?;
    line("union of all attacks (the headline)", summary.union, summary.union_interval, "")?;
    if let Some(missing) = OfClass::missing(&report.classes) {
        answer!("{missing}")?;
    }
    warnings(report)
        .iter()
        .try_for_each(|warning| answer!("WARNING {}: {}", warning.title, warning.found))?;
    if !report.gradient_is_true {
        answer!("BAD GRADIENTS: the accuracies under attack say nothing")?;
    }
    answer!("battery, on {} of these images:", report.battery_images)?;
    report.battery.iter().try_for_each(print_finding)
}

fn print_finding(finding: &Finding) -> Result<(), Lost> {
    let status = match finding.status {
        Status::Pass => "pass",
        Status::Warn => "WARN",
        Status::Fail => "FAIL",
        Status::Skipped => "skip",
    };
    answer!("  {status} {}: {}: {}", title(&finding.test), finding.name, finding.note)
}

fn tested() -> anyhow::Result<()> {
    let cancel = interrupt::token()?;
    let controls = self_test(Seed::new(0), &cancel, |name| say!("{name}")).context("self-test")?;
    let printed = controls.iter().try_for_each(print_control);
    match controls.iter().filter(|control| !control.as_expected).count() {
        0 => Ok(printed?),
        wrong => bail!("the battery is wrong about {wrong} of {} controls", controls.len()),
    }
}

fn print_control(control: &Control) -> Result<(), Lost> {
    let kind = if control.negative { "negative" } else { "positive" };
    let proved = control.proved.map(|proved| format!(", proved {proved:.4}")).unwrap_or_default();
    let verdict = if control.as_expected { "as it must be" } else { "WRONG" };
    let flags = match control.flags.is_empty() {
        true => "none".to_owned(),
        false => control.flags.iter().map(|id| title(id)).collect::<Vec<_>>().join(", "),
    };
    answer!(
        "{kind} control {}: attacked {:.4}{proved}, flags {flags}: {verdict}",
        control.name,
        control.attacked
    )
}
