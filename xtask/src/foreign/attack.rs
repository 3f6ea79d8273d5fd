//! `cargo xtask attack`: one attack on one classifier.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use robin_attacks::Loss;
use robin_core::{Epsilon, Norm};
use robin_evaluation::Which;
use robin_evaluation::foreign::BadGradients;
use robin_experiments::foreign::{AttackReport, AttackRequest, MeansRequest, StrategyChoice, attack_each};
use serde_json::{Map, Value};

use super::{ImagesArguments, SubjectArguments, print_json};
use crate::device::DeviceArguments;
use crate::interrupt;
use crate::terminal::{Lost, answer};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask attack --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded \\\n    \
    --attack pgd --steps 20 --norm linf --epsilon 25/255\n  \
    cargo xtask attack --model cnn2-small --weights mnist.safetensors --dataset mnist --embedded --limit 200 \\\n    \
    --attack autoattack --norm linf --epsilon 25/255\n  \
    cargo xtask attack --model myrtle --aggregate one-vs-all --weights arm-0.safetensors ... arm-9.safetensors \\\n    \
    --dataset cifar10 --attack pgd --strategy best-arm --loss ce --norm l2 --epsilon 0.25,0.5,1 --out found --png 8\n\n\
    Weights from elsewhere need --normalize. Ctrl-C stops between two steps; files are written whole or not at all.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: SubjectArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    images: ImagesArguments,
    /// The base attack, or autoattack: four of them, each on the images that the ones before have left standing.
    #[arg(long, value_name = "NAME", default_value = "pgd")]
    attack: String,
    /// What it raises: ce, margin, dlr, margin-t:T or dlr-t:T [default: ce; autoattack has its own].
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
    #[arg(long, value_name = "E", value_delimiter = ',', required = true, allow_negative_numbers = true)]
    epsilon: Vec<Epsilon>,
    /// Steps, where the attack has them.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Length of a step in pixels [default: 2.5 epsilon / steps].
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true)]
    step_size: Option<f64>,
    /// Runs from different starts; broken by one is broken.
    #[arg(long, value_name = "N")]
    restarts: Option<usize>,
    /// Any setting of the attack by its name in specs, as JSON.
    #[arg(long = "set", value_name = "NAME=JSON", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// Which image of the attack counts.
    #[arg(long, value_enum, default_value_t = Iterate::Worst)]
    iterate: Iterate,
    /// The class that images shall be taken for [default: any wrong one].
    #[arg(long, value_name = "CLASS")]
    target: Option<u32>,
    /// Of all random numbers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for the adversarial images (safetensors).
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

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut settings: Map<String, Value> = arguments.settings.iter().cloned().collect();
    let numbers = [("steps", arguments.steps), ("restarts", arguments.restarts)];
    settings.extend(numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
    if let Some(pixels) = arguments.step_size {
        settings.insert("step_size".to_owned(), MeansRequest::absolute_step(pixels));
    }
    let request = AttackRequest {
        subject: arguments.subject.request(&arguments.device)?,
        images: arguments.images.request(),
        means: MeansRequest {
            attack: arguments.attack.clone(),
            settings,
            loss: arguments.loss,
            strategy: arguments.strategy,
            target: arguments.target,
        },
        norm: arguments.norm,
        epsilons: arguments.epsilon.clone(),
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
    let done = arguments
        .images
        .with(&cancel, |how| Ok(attack_each(&request, how, &mut |report| reports.push(report))?));
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
    let mark = if report.gradient_is_true { "" } else { "  (BAD GRADIENTS: says nothing)" };
    answer!(
        "{} {}, {}: clean {:.4}, robust {:.4}, n {}, {} forward, {} backward, {:.1} s{mark}",
        report.norm,
        report.epsilon,
        report.attack,
        report.clean_accuracy,
        report.robust_accuracy,
        report.n,
        report.forward,
        report.backward,
        report.seconds
    )?;
    for stage in &report.stages {
        answer!(
            "  {}: {} attacked, robust {:.4} with the stages before, {} forward, {} backward, {:.1} s",
            stage.stage,
            stage.attacked,
            stage.robust_accuracy,
            stage.forward,
            stage.backward,
            stage.seconds
        )?;
    }
    Ok(())
}
