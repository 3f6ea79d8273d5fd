//! Graphs that no model has, on `cpu` against `candle`: an executor runs every graph that can be built, or refuses it by the layer.

use candle_core::{DType, Device, Tensor, Var};
use robin_core::{Columns, Seed};
use robin_nn::candle::{Mode, Weights, forward};
use robin_nn::graph::Rounding;
use robin_nn::{EXECUTORS, Graph, Parameters, executor};
use robin_testkit::graphs::{
    IMAGES, TOLERANCE, assert_agrees, at_the_images, branches, finish, odd_sequences, random, same,
};
use robin_testkit::{Probe, gradcheck, output_weights};

fn agrees_with_the_reference(graph: &Graph) {
    assert_agrees(executor("cpu").unwrap(), graph);
}

#[test]
fn whatever_is_done_to_the_images_agrees_with_the_reference() {
    at_the_images().iter().for_each(agrees_with_the_reference);
}

#[test]
fn odd_sequences_agree_with_the_reference() {
    odd_sequences().iter().for_each(agrees_with_the_reference);
}

#[test]
fn branches_agree_with_the_reference() {
    branches().iter().for_each(agrees_with_the_reference);
}

#[test]
fn random_graphs_agree_with_the_reference() {
    (0..30).map(random).for_each(|graph| agrees_with_the_reference(&graph));
}

/// Rounds everywhere: at the images, between layers, before a sum and a rectifier.
fn rounded(rounding: Rounding) -> Graph {
    let graph =
        Graph::builder("rounded", [3, 6, 5]).normalize("levels").round(rounding).conv2d("conv", same(5));
    let graph = graph.batch_norm2d("bn").relu();
    let features = graph.here();
    finish(graph.round(rounding).add(features).relu().max_pool2d(2).round(rounding))
}

/// A value beside a half may be rounded either way, so the numbers are such that none is.
#[test]
fn rounding_is_the_same_on_both_executors_and_has_no_gradient() {
    for rounding in [Rounding::Nearest, Rounding::Down, Rounding::Up] {
        let graph = rounded(rounding);
        let mut parameters = Parameters::initialise(&graph, Seed::new(4));
        for tensor in parameters.buffers.iter_mut().filter(|tensor| tensor.name == "levels.std") {
            tensor.values.fill(1.0 / 16.0);
        }
        // Halves of a level too, where ties are; the convolution then makes multiples of 2^-6.
        for tensor in parameters.trained.iter_mut().filter(|tensor| tensor.name.starts_with("conv")) {
            tensor.values.iter_mut().for_each(|value| *value = (*value * 64.0).round() / 64.0);
        }
        let (c, h, w) = (3, 6, 5);
        let images: Vec<f32> = (0..IMAGES * c * h * w).map(|at| (at * 7 % 33) as f32 / 32.0).collect();
        let images = Tensor::from_vec(images, (IMAGES, c, h, w), &Device::Cpu).unwrap();
        let mut found = Vec::new();
        for name in ["candle", "cpu"] {
            let classifier = executor(name).unwrap().classifier(&graph, &parameters).unwrap();
            let pass = classifier.forward(&images, &Columns::All).unwrap();
            let scores = pass.scores().tensor().clone();
            let gradient = pass.input_gradient(&scores.ones_like().unwrap()).unwrap();
            let scores: Vec<f32> = scores.flatten_all().unwrap().to_vec1().unwrap();
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            assert!(gradient.iter().all(|&value| value == 0.0), "{name}");
            found.push(scores);
        }
        let largest = found[0].iter().fold(0.0f32, |largest, score| largest.max(score.abs()));
        for (one, other) in found[0].iter().zip(&found[1]) {
            assert!((one - other).abs() <= TOLERANCE * largest, "{rounding:?}: {one} and {other}");
        }
    }
    let ties = [-1.5, -0.5, 0.5, 1.5, 2.5, 0.499_999_97].map(|value| Rounding::Nearest.apply(value));
    assert_eq!(ties, [-2.0, 0.0, 0.0, 2.0, 2.0, 0.0]);
}

/// Graphs with layers that `candle` alone runs, and these layers.
fn of_candle_alone() -> Vec<(Graph, &'static str)> {
    vec![
        (finish(Graph::builder("silu", [2, 5, 4]).conv2d("conv", same(4)).silu()), "silu"),
        (
            finish(Graph::builder("groups", [2, 5, 4]).conv2d("conv", same(6)).group_norm("norm", 3).silu()),
            "norm",
        ),
    ]
}

/// Wherever a layer is not run it is said which; where it is, both gradients are those of finite differences.
#[test]
fn a_layer_of_one_executor_has_true_gradients_there_and_is_refused_by_name_elsewhere() {
    for (graph, layer) in of_candle_alone() {
        let parameters = Parameters::initialise(&graph, Seed::new(3));
        for executor in EXECUTORS {
            let found = executor.classifier(&graph, &parameters).map(drop);
            let trained = executor.network(&graph, parameters.clone()).map(drop);
            match executor.name() {
                "candle" => assert!(found.is_ok() && trained.is_ok()),
                name => {
                    let message = found.unwrap_err().to_string();
                    assert!(message.contains(name) && message.contains(layer), "{message}");
                    assert_eq!(trained.unwrap_err().to_string(), message);
                }
            }
        }
        let [c, h, w] = graph.input_shape();
        let count = 2 * c * h * w;
        let images: Vec<f64> = (0..count).map(|at| (at as f64 * 0.37).sin().abs()).collect();
        let images =
            Var::from_tensor(&Tensor::from_vec(images, (2, c, h, w), &Device::Cpu).unwrap()).unwrap();
        let (weights, variables) = Weights::tracked(&parameters, DType::F64, &Device::Cpu).unwrap();
        let loss = |weights: &Weights, images: &Tensor| {
            let outputs = forward(&graph, weights, images, Mode::Evaluation).unwrap();
            let factors =
                output_weights(outputs.elem_count(), Seed::new(5)).into_iter().map(f64::from).collect();
            (&outputs * Tensor::from_vec::<_, f64>(factors, outputs.dims(), &Device::Cpu).unwrap())
                .unwrap()
                .sum_all()
                .unwrap()
        };
        let gradients = loss(&weights, images.as_tensor()).backward().unwrap();
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let number = |loss: &Tensor| loss.to_scalar::<f64>().unwrap();

        let claimed = flat(gradients.get(&images).unwrap());
        let agreement = gradcheck(&flat(images.as_tensor()), &claimed, Probe::F64, |moved| {
            let moved = Tensor::from_slice(moved, (2, c, h, w), &Device::Cpu).unwrap();
            number(&loss(&weights, &moved))
        });
        agreement.assert_all_within(1e-6);

        let claimed: Vec<f64> = variables.iter().flat_map(|v| flat(gradients.get(v).unwrap())).collect();
        let at: Vec<f64> = variables.iter().flat_map(|variable| flat(variable.as_tensor())).collect();
        let agreement = gradcheck(&at, &claimed, Probe::F64, |moved| {
            number(&loss(&Weights::wide(&parameters, moved).unwrap(), images.as_tensor()))
        });
        agreement.assert_all_within(1e-6);
    }
}
