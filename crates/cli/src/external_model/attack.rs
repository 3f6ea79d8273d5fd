//! `cargo xtask attack`: one attack on one classifier.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use robin_aggregation::StrategyChoice;
use robin_attacks::Loss;
use robin_core::{Epsilon, Epsilons, Norm};
use robin_evaluation::Which;
use robin_evaluation::external_model::{BadGradients, GradientVerdict};
use robin_experiments::external_model::{
    AttackReport, AttackRequest, AttackSetupRequest, OfClass, attack_each,
};
use serde_json::{Map, Value};

use super::{ImagesArguments, ModelArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::{Lost, answer};

/// Which attack, on which classifier and images.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask attack --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded \\\n    \
    --attack pgd --steps 20 --norm linf --epsilon 25/255\n  \
    cargo xtask attack --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded --limit 200 \\\n    \
    --attack autoattack --norm linf --epsilon 25/255\n  \
    cargo xtask attack --model myrtle --aggregate one-vs-all --weights arm-0.safetensors ... arm-9.safetensors \\\n    \
    --dataset cifar10 --attack pgd --strategy best-arm --loss ce --norm l2 --epsilon 0.25,0.5,1 --out found --png 8\n\n\
    Weights from elsewhere need --normalize. Ctrl-C stops between two steps; files are written whole or not at all.")]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
    /// The base attack, or autoattack: four of them, each on the images that the ones before have failed on.
    #[arg(long, value_name = "NAME", default_value = "pgd")]
    attack: String,
    /// What it maximises: ce, margin, dlr, margin-t:T or dlr-t:T [default: the attack's own: ce of pgd, margin of cw...].
    #[arg(long)]
    loss: Option<Loss>,
    /// Of which scores: softmax, best-arm, top2, highest-arm, average-gradient, softmax-top2, margin-t,
    /// reweighted (with +current or +normalised); of a hierarchical classifier also stage-1, stage-2,
    /// stage-1-2.
    #[arg(long, value_name = "NAME", default_value = "softmax")]
    strategy: StrategyChoice,
    /// How perturbations are measured: l2 or linf.
    #[arg(long)]
    norm: Norm,
    /// The largest size, in pixels from 0 to 1: 8/255 or 0.5; several separated by commas.
    #[arg(long, value_name = "E", required = true, allow_negative_numbers = true)]
    epsilon: Vec<Epsilons>,
    /// Steps, where the attack has them.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Length of a step in pixels, like 2/255 [default: 2.5 epsilon / steps].
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    step_size: Option<Epsilon>,
    /// Runs from different starts; misclassified by one of them is enough.
    #[arg(long, value_name = "N")]
    restarts: Option<usize>,
    /// Any setting of the attack by its name in specs, as JSON.
    #[arg(long = "set", value_name = "NAME=JSON", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// Which image of the attack counts.
    #[arg(long, value_enum, default_value_t = Iterate::Worst)]
    iterate: Iterate,
    /// The class that images shall be taken for [default: any wrong one]. Images of it, and images taken for it anyway, are
    /// not attacked.
    #[arg(long, value_name = "CLASS")]
    target: Option<u32>,
    /// Of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the adversarial images (safetensors); one attack's, whose settings its run.json holds.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Draw so many of them as PNG too, beside the clean ones.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "out")]
    png: usize,
    /// Attack although the gradient is not that of the scores, and mark the result.
    #[arg(long)]
    allow_bad_gradients: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Iterate {
    /// The best of all that was tried.
    Worst,
    /// The final point only.
    Last,
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=JSON"))?;
    let value = serde_json::from_str(value).map_err(|error| format!("{value:?} is no JSON: {error}"))?;
    Ok((name.to_owned(), value))
}

/// Attacks, and prints what came of it.
///
/// # Errors
/// As [`attack_each`]; what was computed is printed all the same.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings: Map<String, Value> = arguments.settings.iter().cloned().collect();
    let numbers = [("steps", arguments.steps), ("restarts", arguments.restarts)];
    settings.extend(numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    if let Some(pixels) = arguments.step_size {
        settings.insert("step_size".to_owned(), AttackSetupRequest::absolute_step(pixels.get()));
    }
    let request = AttackRequest {
        model: arguments.model.request(&arguments.device)?,
        images: arguments.images.request(),
        setup: AttackSetupRequest {
            attack: arguments.attack.clone(),
            settings,
            loss: arguments.loss,
            strategy: arguments.strategy,
            target: arguments.target,
        },
        norm: arguments.norm,
        epsilons: arguments.epsilon.iter().flat_map(|list| list.0.clone()).collect(),
        iterate: match arguments.iterate {
            Iterate::Worst => Which::Worst,
            Iterate::Last => Which::Last,
        },
        seed: arguments.seed,
        bad_gradients: bad_gradients(arguments.allow_bad_gradients),
        out: arguments.out.clone(),
        pictures: arguments.png,
    };
    let cancel = interrupt::token()?;
    let mut reports = Vec::new();
    let done = arguments.images.with(&cancel, |run_options| {
        Ok(attack_each(&request, run_options, &mut |report| reports.push(report))?)
    });
    // What was computed is shown, whatever happened then.
    let printed = match (&reports[..], arguments.images.json) {
        ([], _) => Ok(()),
        ([one], true) if request.epsilons.len() == 1 => print_json(one),
        (several, true) => print_json(&serde_json::json!({ "sweep": several })),
        (several, false) => several.iter().try_for_each(print).map_err(Into::into),
    };
    done.and(printed)
}

pub(super) fn bad_gradients(allow: bool) -> BadGradients {
    if allow { BadGradients::Mark } else { BadGradients::Refuse }
}

fn print(report: &AttackReport) -> Result<(), Lost> {
    let mark = match report.gradient.verdict {
        GradientVerdict::True => "",
        GradientVerdict::False => "  (BAD GRADIENTS: says nothing)",
        GradientVerdict::Flat => "  (FLAT GRADIENTS: says little)",
    };
    let last = if report.iterate == Which::Last { ", last iterate" } else { "" };
    answer!(
        "{} {}, {}{last}: clean {:.4}, robust {}, n {}, {} forward, {} backward, {}, {:.1} s{mark}",
        report.norm,
        report.epsilon,
        report.attack,
        report.clean_accuracy,
        robust(report),
        report.n,
        report.forward,
        report.backward,
        zero_gradients(report.zero_gradient_share),
        report.seconds
    )?;
    if let Some(target) = &report.target {
        answer!(
            "  taken for class {}: {} of {} that are neither of it nor taken for it when clean; left out {} of that class and {} \
             taken for it anyway",
            target.target,
            target.target_success.map_or("none".to_owned(), |success| format!("{success:.4}")),
            target.target_n,
            target.excluded_of_target_class,
            target.excluded_already_predicted
        )?;
    }
    for stage in &report.stages {
        answer!(
            "  {}: {} attacked, robust {:.4} with the stages before, {} forward, {} backward, {}, {:.1} s",
            stage.stage,
            stage.attacked,
            stage.robust_accuracy,
            stage.forward,
            stage.backward,
            zero_gradients(stage.zero_gradient_share),
            stage.seconds
        )?;
    }
    if let Some(missing) = OfClass::missing(&report.classes) {
        answer!("  {missing}")?;
    }
    report.warnings.iter().try_for_each(|warning| answer!("WARNING: {warning}"))
}

/// The share of images that is right after the attack, and of how many where these are not all.
fn robust(report: &AttackReport) -> String {
    match report.robust_accuracy {
        None => "- (every image is of the wanted class)".to_owned(),
        Some(share) if report.robust_n == report.n => format!("{share:.4}"),
        Some(share) => format!("{share:.4} of the {} of other classes", report.robust_n),
    }
}

/// The share of gradients that were zero, in words.
pub(super) fn zero_gradients(share: Option<f64>) -> String {
    share.map_or("no gradients".to_owned(), |share| format!("zero gradients {:.1}%", 100.0 * share))
}
