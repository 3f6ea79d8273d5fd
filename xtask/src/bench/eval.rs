//! Seconds of PGD on a batch, against a network in evaluation mode.

use std::time::Instant;

use anyhow::{Context, ensure};
use robin_attacks::{Config, Loss, Start, StepSize};
use robin_core::{CancelToken, ExampleId, Seed, SuccessCriterion, Target};
use robin_data::LabelMap;
use serde_json::Value;

use super::model_under_test::ModelUnderTest;
use super::options::{Against, EvalArguments};
use super::output::{Unit, line, peak_rss_bytes, prepare, publish, summary};
use super::published::{self, Package};
use super::pytorch;
use super::repeats::Repeats;

pub(crate) fn run(arguments: &EvalArguments) -> anyhow::Result<()> {
    let EvalArguments { options, batch, steps, .. } = arguments;
    prepare(&options.output)?;
    match options.against {
        Some(Against::Torchattacks) => return published::compare(arguments, Package::Torchattacks),
        Some(Against::Pyautoattack) => return published::compare(arguments, Package::Pyautoattack),
        Some(Against::Pytorch) | None => {}
    }
    ensure!(arguments.weights.is_none(), "--weights goes with --against torchattacks or pyautoattack");
    ensure!(*steps > 0, "--steps is 0, it must be at least 1");
    options.device.device_without_training()?;
    let subject = ModelUnderTest::new(options, *batch)?;
    let name = format!("eval-{}-w{}-b{batch}-t{}", subject.model, subject.width, subject.threads)
        + &subject.on_device();
    let (suffix, mut result, text) = match options.against {
        Some(_) => {
            let steps = ["--steps".to_owned(), steps.to_string()];
            let (result, text) = pytorch::compare("eval", options, &subject, &steps, Unit::Batch)?;
            ("-pytorch", result, text)
        }
        None => {
            let result = measure(&subject, *steps, Repeats { asked: options.repeat })?;
            let text =
                line(&format!("{} on {}", subject.model, subject.executor.name()), Unit::Batch, &result);
            ("", result, text)
        }
    };
    result["settings"] = subject.settings();
    result["settings"]["steps"] = (*steps).into();
    publish(&options.output, &(name + suffix), result, &text)
}

fn measure(subject: &ModelUnderTest, steps: usize, repeats: Repeats) -> anyhow::Result<Value> {
    let labels = LabelMap::Identity;
    let (graph, parameters) = subject.network(&labels, 0)?;
    let model = subject.executor.classifier(&graph, &parameters)?;
    let (step_size, start) = (StepSize::STANDARD, Start::UniformInBall);
    let attack = Config::Pgd(robin_attacks::pgd::Settings { steps, restarts: 1, step_size, start })
        .build(subject.budget)?;
    let ids: Vec<ExampleId> = (0..subject.batch as u32).map(ExampleId::first).collect();
    let batch = subject.data.batch(&ids, &labels)?;
    let objectives = vec![Loss::Ce.against(batch.labels.clone())];
    let target = Target { model: &*model, criterion: &Indulgent, cancel: &CancelToken::new() };
    let mut seconds = Vec::new();
    subject.pool()?.install(|| {
        while !repeats.enough(&seconds) {
            let start = Instant::now();
            attack.perturb(&target, &objectives, &batch, Seed::new(0)).context("the attack failed")?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        anyhow::Ok(())
    })?;
    Ok(summary(Unit::Batch, &seconds, subject.batch, peak_rss_bytes()))
}

/// Calls nothing misclassified: every image costs the whole attack, whatever the fresh weights make of it.
struct Indulgent;

impl SuccessCriterion for Indulgent {
    fn misclassified(&self, _prediction: u32, _label: u32) -> bool {
        false
    }
}
