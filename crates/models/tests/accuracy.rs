//! Input gradients of whole networks in f32 against f64, image by image.
//!
//! Rounding moves a gradient by little, except where it brings an activation across a kink: there the gradient
//! jumps to that of the neighbouring piece, which is as right. Such images are known from the f64 pass.

mod common;

use candle_core::{DType, Var};
use common::{images, input_of, labels, network, step};
use robin_attacks::objectives::CrossEntropy;
use robin_core::{Objective, Scores};
use robin_models::{Entry, MODELS};
use robin_nn::reference::{Mode, Weights, activations, kinks};
use robin_nn::{EXECUTORS, Graph, Parameters};

const IMAGES: usize = 9;

/// An image nearer to a kink than this may have another gradient after rounding. Seen at 2.5e-6 in
/// wide-resnet-28-10, whose activations are sums of many layers' rounding.
const NEAR: f64 = 5e-6;

/// Wide enough that one unit at a kink is one of many, small enough for the reference.
fn width(entry: &Entry) -> usize {
    match entry.name {
        "wide-resnet-28-10" => 1,
        "resnet50" => 4,
        _ => 8_usize.next_multiple_of(entry.width_step),
    }
}

/// Input gradient of the summed cross-entropy in f64, and each image's distance to a kink.
fn reference_in_f64(graph: &Graph, parameters: &Parameters) -> (Vec<f64>, Vec<f64>) {
    let weights = Weights::constant(parameters, DType::F64).unwrap();
    let image = Var::from_tensor(&images(graph, IMAGES).to_dtype(DType::F64).unwrap()).unwrap();
    let pass = activations(graph, &weights, image.as_tensor(), Mode::Evaluation).unwrap();
    let scores = Scores::new(pass.outputs().detach().to_dtype(DType::F32).unwrap()).unwrap();
    let upstream = CrossEntropy::new(labels(IMAGES)).evaluate(&scores).unwrap().score_gradient;
    let value = (pass.outputs() * upstream.to_dtype(DType::F64).unwrap()).unwrap().sum_all().unwrap();
    let gradients = value.backward().unwrap();
    let gradient = gradients.get(&image).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (gradient, kinks::distances(graph, &pass).unwrap())
}

/// `|found - expected| / |expected|` of every image.
fn relative_errors(found: &[f32], expected: &[f64]) -> Vec<f64> {
    let rows = found.chunks_exact(found.len() / IMAGES).zip(expected.chunks_exact(found.len() / IMAGES));
    let error = |(found, expected): (&[f32], &[f64])| {
        let square: f64 = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
        (square / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
    };
    rows.map(error).collect()
}

#[test]
fn input_gradients_in_f32_are_those_in_f64_up_to_rounding() {
    for entry in MODELS {
        let (graph, parameters) = network(entry, width(entry), input_of(entry));
        let (expected, distances) = reference_in_f64(&graph, &parameters);
        for executor in EXECUTORS {
            let model = executor.classifier(&graph, &parameters).unwrap();
            let (_, found) = step(&*model, &images(&graph, IMAGES), labels(IMAGES));
            let errors = relative_errors(&found, &expected);
            let what =
                format!("{} {}: errors {errors:?}, kinks at {distances:?}", entry.name, executor.name());
            let mut sorted = errors.clone();
            sorted.sort_by(f64::total_cmp);
            assert!(sorted[IMAGES / 2] <= 1e-5, "{what}");
            let far = errors.iter().zip(&distances).filter(|(_, distance)| **distance > NEAR);
            assert!(far.clone().count() >= IMAGES / 3, "{what}");
            assert!(far.clone().all(|(error, _)| *error <= 1e-4), "{what}");
        }
    }
}
