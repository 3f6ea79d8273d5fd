//! Input gradients of whole networks as training attacks in bf16 have them, beside those in f32.
//!
//! Nearly all of the difference is rectifiers and poolings that fall the other way in the forward pass: how many is a matter of a network's
//! weights. In a fresh network with batch norms so many units stand near their kinks that gradients of 1% of noise a layer are those of
//! other linear pieces. So batch norms are shifted here, as in `contract.rs`, and what is measured is the arithmetic.

#![allow(clippy::print_stdout, reason = "says how near they are")]

mod common;

use common::{images, input_of, labels, median, shifted_network, step};
use robin_models::{Entry, MODELS};
use robin_nn::Executor;
use robin_nn::cpu::Cpu;

const IMAGES: usize = 9;

/// As in `accuracy.rs`: one unit at a kink is to be one of many.
fn width(entry: &Entry) -> usize {
    match entry.name {
        "wide-resnet-28-10" => 1,
        "resnet50" => 4,
        _ => 8_usize.next_multiple_of(entry.width_step),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    product(a, b) / (product(a, a) * product(b, b)).sqrt()
}

/// Deviations that batch norms are shifted by.
const SHIFT: f32 = 4.0;

/// The median image's cosine, at least. No shift keeps the values of a pooling's window apart.
fn allowed(entry: &Entry) -> f64 {
    if entry.name == "myrtle" { 0.98 } else { 0.99 }
}

#[test]
fn gradients_of_training_attacks_in_bf16_point_where_those_in_f32_do() {
    let executors = [Cpu::TRAINING_ATTACKS_IN_BF16, Cpu::TRAINING_ATTACKS_IN_BF16_AMX];
    for (entry, rounding) in MODELS.iter().flat_map(|entry| executors.map(|executor| (entry, executor))) {
        let (graph, parameters) = shifted_network(entry, width(entry), input_of(entry), SHIFT);
        let gradient = |executor: Cpu| {
            let network = executor.network(&graph, parameters.clone()).unwrap();
            step(&*network.freeze_for_training_attack().unwrap(), &images(&graph, IMAGES), labels(IMAGES)).1
        };
        let (found, expected) = (gradient(rounding), gradient(Cpu::F32));
        assert!(found != expected, "{} has no product that is rounded", entry.name);
        let length = found.len() / IMAGES;
        let pairs = found.chunks_exact(length).zip(expected.chunks_exact(length));
        let cosines: Vec<f64> = pairs.map(|(f, e)| cosine(f, e)).collect();
        println!("{}, {}: cosines {cosines:.5?}", entry.name, rounding.name());
        assert!(median(&cosines) > allowed(entry), "{}: cosines {cosines:?}", entry.name);
    }
}
