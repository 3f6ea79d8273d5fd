//! Training whose attacks multiply factors rounded to bf16, beside training in f32.

#![allow(clippy::print_stdout, reason = "says how near they are")]

use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, DatasetName, LabelMap, Sampling, Source, Split};
use robin_nn::cpu::Cpu;
use robin_nn::{Executor, Parameters};
use robin_training::{
    AttackMode, Config, Method, Outputs, Proportion, Schedule, Silent, Summary, Validation, train,
};

fn config(epochs: usize) -> Config {
    let budget = Budget { norm: Norm::Linf, epsilon: "12/255".parse().unwrap() };
    Config {
        method: Method::PgdAt {
            budget,
            steps: 3,
            step_size: StepSize::STANDARD,
            proportion: Proportion::All,
        },
        epochs,
        batch_size: 16,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Steps { milestones: vec![0.75], factor: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 0,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.0,
        weight_averaging: None,
        validation: Some(Validation { images: 400, budget, steps: 10, step_size: StepSize::STANDARD }),
    }
}

fn trained(executor: Cpu, threads: usize, epochs: usize) -> (Parameters, Summary) {
    let data = Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded).unwrap();
    let graph = robin_models::build("cnn2-small", Some(8), [1, 28, 28], 10).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    let mut network = executor.network(&graph, parameters).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (seed, cancel) = (Seed::new(7), CancelToken::new());
    let summary = pool
        .install(|| {
            train(&mut *network, &data, &LabelMap::Identity, &config(epochs), seed, &mut Silent, &cancel)
        })
        .unwrap();
    (network.parameters().clone(), summary)
}

/// What is trained, judged in f32 by PGD-10 on 400 images that were held out.
#[test]
fn attacks_in_bf16_make_networks_as_robust_as_attacks_in_f32() {
    let robust = |summary: &Summary| summary.epochs.last().unwrap().validation.unwrap().robust_accuracy;
    let (exact, rounded) = (trained(Cpu::F32, 2, 4), trained(Cpu::TRAINING_ATTACKS_IN_BF16, 2, 4));
    let losses: Vec<f64> = rounded.1.epochs.iter().map(|epoch| epoch.loss).collect();
    println!(
        "robust in f32 {:.3}, with attacks in bf16 {:.3}; losses {losses:.3?}",
        robust(&exact.1),
        robust(&rounded.1)
    );
    assert!(losses.is_sorted_by(|before, after| after < before), "{losses:?}");
    assert!(rounded.0 != exact.0, "nothing was rounded");
    // Of 400 images 2.5 standard errors; and above what a network has that learned no robustness.
    assert!((robust(&rounded.1) - robust(&exact.1)).abs() < 0.06, "{:?} {:?}", rounded.1, exact.1);
    assert!(robust(&rounded.1) > 0.4, "{:?}", rounded.1);
    let one_epoch = |threads| trained(Cpu::TRAINING_ATTACKS_IN_BF16, threads, 1).0;
    assert!(one_epoch(1) == one_epoch(3), "threads decide");
}
