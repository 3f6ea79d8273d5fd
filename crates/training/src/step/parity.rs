//! Short trainings replayed step for step against PyTorch (`fixtures/pytorch/train_parity.py`).

use robin_core::{Epsilon, ExampleId, Norm};
use robin_nn::{NamedTensor, executor};
use robin_testkit::{Golden, golden};

use super::*;
use crate::config::tests::paper;
use crate::{Proportion, Sgd};

const BATCH: usize = 8;
const ATTACK_STEPS: usize = 3;

fn method(name: &str, norm: Norm) -> Method {
    let epsilon = Epsilon::new(if norm == Norm::L2 { 0.5 } else { 8.0 / 255.0 }).unwrap();
    let (budget, steps, step_size) = (Budget { norm, epsilon }, ATTACK_STEPS, StepSize::STANDARD);
    match name {
        "trades" => {
            let start = AttackStart::Gaussian { deviation: 0.001 };
            Method::Trades { budget, steps, step_size, lambda: 1.0, start }
        }
        _ => Method::PgdAt { budget, steps, step_size, proportion: Proportion::All },
    }
}

/// The losses of as many steps as PyTorch's are known of, and PyTorch's.
fn replay(golden: &Golden, (model, on): (&str, &str), key: &str) -> (Vec<f64>, Vec<f64>) {
    let [method_name, norm, run] = key.split('.').collect::<Vec<_>>()[..3] else { panic!("{key}") };
    let norm = if norm == "l2" { Norm::L2 } else { Norm::Linf };
    let rate = if run == "slow" { 0.01 } else { 0.1 };
    let config = Config { method: method(method_name, norm), batch_size: BATCH, ..paper(1) };
    let (images, starts) = (golden.tensor("images"), golden.tensor("starts"));
    let labels = golden.integers("labels");
    let [_, channels, height, width] = golden.shape("images")[..] else { panic!("images have four sides") };
    let graph = robin_models::build(model, Some(4), [channels, height, width], 10).unwrap();
    let mut parameters = Parameters::initialise(&graph, Seed::new(0));
    for NamedTensor { name, values, .. } in parameters.trained.iter_mut().chain(&mut parameters.buffers) {
        *values = golden.f32(&format!("weights.{name}"));
    }
    let mut network = executor(on).unwrap().network(&graph, parameters).unwrap();
    let mut sgd = Sgd::new(0.9, 5e-4);
    let expected = golden.f64(&format!("losses.{key}"));
    let mut found = Vec::new();
    for step in 0..expected.len() {
        let rows: Vec<usize> = (0..BATCH).map(|row| BATCH * (step % 2) + row).collect();
        let ids = rows.iter().map(|&row| ExampleId::first(row as u32)).collect();
        let labels = rows.iter().map(|&row| labels[row]).collect();
        let batch = Batch::new(host::select(&images, &rows).unwrap(), labels, ids).unwrap();
        let start = host::select(&starts, &rows).unwrap();
        let model = network.freeze().unwrap();
        let begin = Begin::At(&start);
        let perturbed = attack(&*model, &config.method, &batch, begin, &CancelToken::new()).unwrap();
        let examples = match config.method {
            Method::Trades { .. } => Examples::Pair { clean: batch, perturbed },
            _ => Examples::Mixed {
                batch: Batch { images: perturbed, ..batch },
                perturbed: (0..BATCH).collect(),
            },
        };
        let result = gradients(&mut *network, &config, &examples).unwrap();
        network.update(&mut |tensors| sgd.step(tensors, &result.gradients, rate));
        found.push(result.loss);
    }
    (found, expected)
}

fn assert_parity(file: &str, executors: &[&str]) -> usize {
    let golden = golden(file);
    let model = file.strip_prefix("train-").unwrap();
    let mut steps = 0;
    for key in golden.under("losses.") {
        for on in executors {
            let (found, expected) = replay(&golden, (model, on), &key);
            for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let difference = (found - expected).abs();
                assert!(difference < 1e-3, "{model} on {on}, {key}, step {step}: {found} against {expected}");
            }
            steps += expected.len();
        }
    }
    steps
}

#[test]
fn fifty_steps_of_a_small_network_are_pytorchs() {
    // Two methods: 50 steps in l2, and 10 in each norm.
    assert_eq!(assert_parity("train-cnn2-small", &["reference", "cpu"]), 2 * 2 * (50 + 10 + 10));
}

#[test]
fn a_network_with_batch_norm_is_pytorchs_while_pytorch_agrees_with_itself() {
    assert!(assert_parity("train-resnet18", &["reference", "cpu"]) > 0);
}
