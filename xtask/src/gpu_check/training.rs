//! The training loop on the device: against the CPU step by step, and for an epoch.

use robin_attacks::StepSize;
use robin_core::{CancelToken, Norm, Seed};
use robin_cuda::Precision;
use robin_data::{Dataset, DatasetName, Flip, LabelMap, Padding, Sampling, Source, Split};
use robin_experiments::paper_budget;
use robin_nn::{Executor, Graph, Parameters, executor};
use robin_training::{
    AttackMode, AttackStart, Config, Method, Outputs, Proportion, Schedule, Silent, Summary, train,
};

use super::model_under_test::ModelUnderTest;
use super::networks::apart;
use super::report::Finding;

fn config(norm: Norm, dataset: DatasetName) -> Config {
    let budget = paper_budget(dataset, norm).expect("the paper has these data sets");
    let (steps, step_size) = (10, StepSize::STANDARD);
    Config {
        method: Method::PgdAt { budget, steps, step_size, proportion: Proportion::All },
        epochs: 1,
        batch_size: 100,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Steps { milestones: Vec::new(), factor: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: if dataset == DatasetName::Cifar10 { 4 } else { 0 },
        padding: Padding::Zeros,
        flip: if dataset == DatasetName::Cifar10 { Flip::Horizontal } else { Flip::None },
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.0,
        weight_averaging: None,
        validation: None,
    }
}

/// The same attack as part of TRADES, or of MART.
fn of_pairs(config: Config, is_trades: bool) -> Config {
    let Method::PgdAt { budget, steps, step_size, .. } = config.method else { return config };
    let (lambda, start) = (6.0, AttackStart::Gaussian { deviation: 0.05 });
    let method = if is_trades {
        Method::Trades { budget, steps, step_size, lambda, start }
    } else {
        Method::Mart { budget, steps, step_size, lambda, start }
    };
    Config { method, ..config }
}

fn trained(
    executor: &dyn Executor,
    graph: &Graph,
    data: &Dataset,
    config: &Config,
) -> anyhow::Result<(Vec<f32>, Summary)> {
    let first = Parameters::initialise(graph, Seed::new(1));
    let mut network = executor.network(graph, first.clone())?;
    let (labels, cancel) = (LabelMap::Identity, CancelToken::new());
    let summary = train(&mut *network, data, &labels, config, Seed::new(7), &mut Silent, &cancel)?;
    let moved = network.parameters().trained.iter().zip(&first.trained);
    let moved = moved.flat_map(|(after, before)| after.values.iter().zip(&before.values).map(|(a, b)| a - b));
    Ok((moved.collect(), summary))
}

/// How far weights move in some steps, on the device and on the CPU.
pub(super) fn agree(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let images = if subject.is_gpu() { 400 } else { 40 };
    for (dataset, model) in [(DatasetName::Mnist, "cnn2-small"), (DatasetName::Cifar10, "myrtle")] {
        let data = Dataset::load(dataset, Split::Train, &Source::Embedded)?.take(images)?;
        let graph = robin_models::build(model, Some(8), data.shape(), 10)?;
        // Without an attack, and with one of a single step: long ones, and rectifiers at a kink, make a difference of the last
        // bit a large one.
        let adversarial = |norm| {
            let mut config = config(norm, dataset);
            config.batch_size = images / 4;
            // Small, for the same reason: later steps meet nearly the same weights.
            config.learning_rate = 0.001;
            if let Method::PgdAt { steps, .. } = &mut config.method {
                *steps = 1;
            }
            config
        };
        let [l2, linf] = [adversarial(Norm::L2), adversarial(Norm::Linf)];
        let methods = [
            ("standard", Config { method: Method::Standard {}, ..l2.clone() }),
            ("trades, l2", of_pairs(l2.clone(), true)),
            ("mart, linf", of_pairs(linf.clone(), false)),
            ("l2", l2),
            ("linf", linf),
        ];
        for (method, config) in methods {
            let (expected, _) = trained(executor("cpu")?, &graph, &data, &config)?;
            for (precision, cuda) in subject.executors() {
                let (found, _) = trained(cuda, &graph, &data, &config)?;
                let allowed = match precision {
                    // Ways that have nothing to do with each other are 1.4 apart.
                    Precision::F32 => 0.2,
                    Precision::Tf32 => 0.4,
                    Precision::Bf16 => 0.7,
                };
                let what = format!("{model} in {precision}, {method}: way of the weights");
                findings.push(Finding { what, found: apart(&found, &expected), allowed });
            }
        }
    }
    Ok(findings)
}

/// Training with attacks whose steps are recorded, twice, and with attacks that are asked for step by step: bit for bit where
/// results are repeatable, and nearly so with the fastest algorithms, which are the same in both.
pub(super) fn recorded(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    // The last batch is smaller than the others.
    let (images, batch_size) = if subject.is_gpu() { (400, 96) } else { (20, 8) };
    for (dataset, model) in [(DatasetName::Mnist, "cnn2-small"), (DatasetName::Cifar10, "myrtle")] {
        let data = Dataset::load(dataset, Split::Train, &Source::Embedded)?.take(images)?;
        let graph = robin_models::build(model, Some(8), data.shape(), 10)?;
        let [l2, linf] = [config(Norm::L2, dataset), config(Norm::Linf, dataset)];
        let trades = of_pairs(linf.clone(), true);
        for (method, config) in [("l2", l2), ("linf", linf), ("trades, linf", trades)] {
            let config = Config { batch_size, ..config };
            let (expected, _) = trained(&subject.repeatable()?.unrecorded(), &graph, &data, &config)?;
            for run in ["recorded", "recorded once more"] {
                let (found, _) = trained(&subject.repeatable()?, &graph, &data, &config)?;
                let differ = found.iter().zip(&expected).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
                let moved = expected.iter().any(|way| *way != 0.0);
                let what = format!("{model}, {method}, {run}: weights that differ");
                findings.push(Finding {
                    what,
                    found: if moved { differ as f64 } else { f64::NAN },
                    allowed: 0.0,
                });
            }
        }
        // Few and short steps: the order of sums may differ, and each step makes more of it.
        let mut config = Config { batch_size, learning_rate: 0.001, ..config(Norm::L2, dataset) };
        if let Method::PgdAt { steps, .. } = &mut config.method {
            *steps = 3;
        }
        for (precision, cuda) in subject.executors() {
            let (expected, _) = trained(&cuda.unrecorded(), &graph, &data, &config)?;
            let (found, _) = trained(cuda, &graph, &data, &config)?;
            let what = format!("{model} in {precision}, fastest, recorded: way of the weights");
            let allowed = if precision == Precision::Bf16 { 0.4 } else { 0.2 };
            findings.push(Finding { what, found: apart(&found, &expected), allowed });
        }
    }
    Ok(findings)
}

/// Epochs of adversarial training on the built-in images, in each precision: the loss falls.
pub(super) fn epochs(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (dataset, model) in [(DatasetName::Mnist, "cnn2"), (DatasetName::Cifar10, "myrtle")] {
        if !subject.is_gpu() && model == "myrtle" {
            continue; // minutes on a processor
        }
        let data = Dataset::load(dataset, Split::Train, &Source::Embedded)?;
        let (data, width) = if subject.is_gpu() { (data, None) } else { (data.take(300)?, Some(8)) };
        let graph = robin_models::build(model, width, data.shape(), 10)?;
        let mut config = config(Norm::Linf, dataset);
        config.epochs = if subject.is_gpu() { 3 } else { 2 };
        for (precision, cuda) in subject.executors() {
            let (_, summary) = trained(cuda, &graph, &data, &config)?;
            let losses: Vec<f64> = summary.epochs.iter().map(|epoch| epoch.loss).collect();
            let (Some(first), Some(last)) = (losses.first(), losses.last()) else { continue };
            let accuracy = summary.epochs.last().map_or(0.0, |epoch| epoch.accuracy);
            let what = format!(
                "{model} in {precision}: losses {losses:.3?}, accuracy {accuracy:.3}; last loss over the first"
            );
            findings.push(Finding { what, found: last / first, allowed: 0.999 });
        }
    }
    Ok(findings)
}
