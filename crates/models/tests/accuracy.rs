//! Input gradients of whole networks in f32 against f64, image by image.
//!
//! Rounding moves a gradient by little, except where it brings an activation across a kink: there the gradient
//! jumps to that of the neighbouring piece, which is as right. Such images are known from the f64 pass.

mod common;

use candle_core::{DType, Var};
use common::{images, input_of, labels, median, network, relative_errors, step};
use robin_attacks::objectives::CrossEntropy;
use robin_core::{Objective, Scores};
use robin_models::{Entry, MODELS};
use robin_nn::candle::{Mode, Weights, activations, kinks};
use robin_nn::graph::{Layer, Node};
use robin_nn::{EXECUTORS, Graph, Parameters};

const IMAGES: usize = 9;

/// An image nearer to a kink than this for each convolution may have another gradient after rounding, which grows
/// with depth: decided so at 2.5e-6 in wide-resnet-28-10 (25 convolutions, `reference`) and at 9.2e-6 in resnet50
/// (53, `cpu`).
const NEAR: f64 = 5e-7;

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

#[test]
fn input_gradients_in_f32_are_those_in_f64_up_to_rounding() {
    for entry in MODELS {
        let (graph, parameters) = network(entry, width(entry), input_of(entry));
        let (expected, distances) = reference_in_f64(&graph, &parameters);
        let is_convolution = |node: &&Node| matches!(node.layer, Layer::Conv2d { .. });
        let near = NEAR * graph.nodes().iter().filter(is_convolution).count() as f64;
        for executor in EXECUTORS {
            let model = executor.classifier(&graph, &parameters).unwrap();
            let (_, found) = step(&*model, &images(&graph, IMAGES), labels(IMAGES));
            let errors = relative_errors(&found, &expected, IMAGES);
            let what =
                format!("{} {}: errors {errors:?}, kinks at {distances:?}", entry.name, executor.name());
            assert!(median(&errors) <= 1e-5, "{what}");
            let far = errors.iter().zip(&distances).filter(|(_, distance)| **distance > near);
            assert!(far.clone().count() > 0, "{what}");
            assert!(far.clone().all(|(error, _)| *error <= 1e-4), "{what}");
            // One unit on the other side of its kink is one of many.
            assert!(errors.iter().all(|error| *error <= 0.1), "{what}");
        }
    }
}
