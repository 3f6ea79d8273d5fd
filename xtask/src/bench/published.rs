//! The same attack by ROBIN and by a published package, in turn, on the same weights and images.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use robin_aggregation::StrategyName;
use robin_attacks::{Config, Loss, Start, StepSize, autoattack};
use robin_core::{Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Seed};
use robin_data::{Dataset, LabelMap, Source, Split};
use robin_evaluation::{AttackSetup, Evaluation, Ledger, Order, Which};
use robin_experiments::threads::{pool, threads};
use robin_nn::Parameters;
use serde_json::{Value, json};

use super::model_under_test::dataset_of;
use super::options::EvalArguments;
use super::output::{cpu_seconds, publish};
use super::pytorch::median;
use crate::root;
use crate::terminal::say;

/// A published package and the attack that is timed against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Package {
    /// PGD from a random start; its last iterate is judged.
    Torchattacks,
    /// AutoAttack, version standard, as its authors' fork on the package index has it.
    Pyautoattack,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Package::Torchattacks => "torchattacks",
            Package::Pyautoattack => "pyautoattack",
        }
    }
}

/// What both are given.
struct Case {
    model: String,
    width: usize,
    classifier: Box<dyn Classifier>,
    parameters: Parameters,
    /// Images that are right when clean.
    data: Dataset,
    budget: Budget,
    batch: usize,
    steps: usize,
    threads: usize,
}

pub(super) fn compare(arguments: &EvalArguments, package: Package) -> anyhow::Result<()> {
    let options = &arguments.options;
    let case = Case::new(arguments)?;
    let folder = tempfile::tempdir().context("no place for the weights and images")?;
    let write = |file: &str, bytes: &[u8]| {
        let path = folder.path().join(file);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("weights.safetensors", &case.parameters.to_safetensors()?)?;
    write("images", &case.data.pixels()?)?;
    // The published data sets have ten classes.
    let labels: Vec<u8> = case.data.labels().iter().map(|&label| label as u8).collect();
    write("labels", &labels)?;
    let pool = pool(Some(case.threads))?;

    let (n, mut pairs, mut ratios, mut text) = (case.data.len(), Vec::new(), Vec::new(), Vec::new());
    for number in 1..=options.pairs {
        say!("pair {number} of {}...", options.pairs);
        let ours = pool.install(|| case.ours(package))?;
        let theirs = case.theirs(package, &options.python, folder.path())?;
        let ratio = seconds(&theirs)? / seconds(&ours)?;
        let line = |who: &str, result: &Value| {
            let found = |field: &str| result[field].as_f64().unwrap_or(f64::NAN);
            let (seconds, cpu, accuracy) = (found("seconds"), found("cpu_seconds"), found("robust_accuracy"));
            format!(
                "pair {number}, {who}: {seconds:.3} s for {n} images ({cpu:.2} s of the processor), robust accuracy {accuracy:.4}"
            )
        };
        text.push(line("ROBIN", &ours));
        text.push(line(package.name(), &theirs));
        text.push(format!("pair {number}: {ratio:.2} times as fast as {}", package.name()));
        ratios.push(ratio);
        pairs.push(json!({ "robin": ours, package.name(): theirs, "ratio": ratio }));
    }
    let ratio = median(&mut ratios);
    text.push(format!("median of {} pairs: {ratio:.2}", ratios.len()));
    let Case { model, width, budget, batch, steps, threads, .. } = &case;
    let mut settings = json!({
        "model": model, "width": width, "dataset": case.data.name(), "images": n, "budget": budget, "batch": batch,
        "threads": threads, "executor": options.device.name(),
    });
    if package == Package::Torchattacks {
        settings["steps"] = (*steps).into();
    }
    let name = format!("attack-{model}-w{width}-n{n}-t{threads}-{}", package.name());
    publish(
        &options.output,
        &name,
        json!({ "pairs": pairs, "ratio": ratio, "settings": settings }),
        &text.join("\n"),
    )
}

impl Case {
    fn new(arguments: &EvalArguments) -> anyhow::Result<Self> {
        let options = &arguments.options;
        let Some(path) = &arguments.weights else {
            bail!(
                "--weights is missing: fresh weights fall to anything, so an attack's time on them says nothing"
            );
        };
        let name = match options.dataset {
            Some(name) => name,
            None => dataset_of(&options.model)?,
        };
        let all = Dataset::load(name, Split::Test, &Source::Embedded)?;
        let [_, height, width] = all.shape();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = path.display().to_string();
        let (graph, parameters) =
            robin_experiments::export::load(&options.model, &bytes, [height, width], &file)?;
        ensure!(options.width.is_none(), "--width is the weights' own here; leave the option out");
        let classifier =
            options.device.device_without_training()?.executor().classifier(&graph, &parameters)?;
        let first = graph.tensors().into_iter().find(|tensor| tensor.shape.len() == 4);
        let width = first.context("a network without a convolution")?.shape[0];
        let threads = threads(options.threads)?;
        ensure!(arguments.steps > 0, "--steps is 0, it must be at least 1");
        let data = right(&*classifier, &all, arguments.images)?;
        Ok(Self {
            model: options.model.clone(),
            width,
            classifier,
            parameters,
            data,
            budget: super::model_under_test::budget(name, arguments.norm)?,
            batch: arguments.batch,
            steps: arguments.steps,
            threads,
        })
    }

    fn ours(&self, package: Package) -> anyhow::Result<Value> {
        let (model, seed, cancel) = (&*self.classifier, Seed::new(0), CancelToken::new());
        let evaluation = Evaluation { model, criterion: &Misclassified, data: &self.data, seed };
        let mut options =
            robin_evaluation::Options { batch_size: self.batch, cancel: &cancel, observer: &mut () };
        // Warm up.
        evaluation.clean(&mut options)?;
        let (begun, worked) = (Instant::now(), cpu_seconds());
        let accuracy = match package {
            Package::Torchattacks => {
                let clean = evaluation.clean(&mut options)?;
                let (step_size, start) = (StepSize::STANDARD, Start::UniformInBall);
                let attack = Config::Pgd(robin_attacks::pgd::Settings {
                    steps: self.steps,
                    restarts: 1,
                    step_size,
                    start,
                })
                .build(self.budget)?;
                let strategy = StrategyName::Softmax.build(Loss::Ce)?;
                let found = evaluation.robust(&clean, attack.as_ref(), strategy.as_ref(), &mut options)?;
                found.worst.accuracy()
            }
            Package::Pyautoattack => {
                let mut ledger = Ledger::begin(&evaluation, &mut options)?;
                for stage in autoattack() {
                    let attack = stage.attack.build(self.budget)?;
                    let strategy = StrategyName::Softmax.build(stage.loss)?;
                    let setup = AttackSetup {
                        name: stage.name,
                        strategy_name: "softmax",
                        loss_name: stage.name,
                        attack: attack.as_ref(),
                        config: Some(stage.attack),
                        strategy: strategy.as_ref(),
                        iterate: Which::Worst,
                    };
                    ledger.run(&evaluation, &setup, 0, Order::Standing, None, &mut options)?;
                }
                ledger.summary(self.budget)?.union
            }
        };
        let cpu = worked.and_then(|before| Some(cpu_seconds()? - before));
        let seconds = begun.elapsed().as_secs_f64();
        Ok(json!({ "seconds": seconds, "cpu_seconds": cpu, "robust_accuracy": accuracy }))
    }

    fn theirs(&self, package: Package, python: &Path, folder: &Path) -> anyhow::Result<Value> {
        let script: PathBuf = root().join("fixtures/pytorch/bench_attacks.py");
        let mut command = Command::new(python);
        command.arg(script).arg(package.name()).arg(folder).args(["--model", &self.model]);
        let [channels, side, _] = self.data.shape();
        let numbers = [
            ("--width", self.width),
            ("--channels", channels),
            ("--side", side),
            ("--batch", self.batch),
            ("--threads", self.threads),
            ("--steps", self.steps),
        ];
        for (option, number) in numbers {
            command.args([option.to_owned(), number.to_string()]);
        }
        command.args(["--norm", &self.budget.norm.to_string()]);
        command.args(["--epsilon", &self.budget.epsilon.get().to_string()]);
        command.env("OMP_NUM_THREADS", self.threads.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        let output = command.output().with_context(|| {
            format!("{} does not start: name an interpreter with --python", python.display())
        })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} failed (see fixtures/pytorch/README.md): {}", package.name(), said.trim());
        }
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} did not print JSON", package.name()))
    }
}

/// `count` of `all` that are right when clean, or as many as there are, spread over all of them.
fn right(classifier: &dyn Classifier, all: &Dataset, count: usize) -> anyhow::Result<Dataset> {
    ensure!(count > 0, "--images is 0, it must be at least 1");
    let ids: Vec<ExampleId> = (0..all.len() as u32).map(ExampleId::first).collect();
    let batch = all.batch(&ids, &LabelMap::Identity)?;
    let predictions = classifier.decide(&classifier.scores(&batch.images, &Columns::All)?)?;
    let right: Vec<usize> = (0..all.len()).filter(|&at| predictions[at] == batch.labels[at]).collect();
    ensure!(!right.is_empty(), "these weights get no image right");
    let count = count.min(right.len());
    let rows: Vec<usize> = (0..count).map(|at| right[at * right.len() / count]).collect();
    Ok(all.select(&rows)?)
}

fn seconds(result: &Value) -> anyhow::Result<f64> {
    result["seconds"].as_f64().context("a measurement without seconds")
}
