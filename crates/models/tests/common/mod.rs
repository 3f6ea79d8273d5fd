//! Networks, images and labels for the tests over the list of models.
#![allow(dead_code, reason = "each test program uses some of it")]

use candle_core::{DType, Device, Tensor};
use robin_attacks::objectives::CrossEntropy;
use robin_core::{Classifier, Columns, Objective, Purpose, Scores, Seed, host};
use robin_models::{Entry, build};
use robin_nn::candle::{Mode, Weights, activations, batch_statistics};
use robin_nn::graph::Layer;
use robin_nn::{Executor, Graph, Parameters};

pub(crate) const CLASSES: usize = 10;

/// `[c, h, w]` of the images that a model was made for.
pub(crate) fn input_of(entry: &Entry) -> [usize; 3] {
    if entry.name.starts_with("cnn2") || entry.name == "mlp" { [1, 28, 28] } else { [3, 32, 32] }
}

/// A fresh network of `width` in which nothing is the identity: a normalisation that does something, batch norms
/// with uneven weights, and running statistics near those of a batch, but no multiple of them.
pub(crate) fn network(entry: &Entry, width: usize, input: [usize; 3]) -> (Graph, Parameters) {
    shifted_network(entry, width, input, 0.0)
}

/// The same with `shift` added to what batch norms give even channels, and taken from odd ones: a shift of a few
/// deviations leaves hardly a rectifier near its kink, where rounding would decide which way a gradient goes.
pub(crate) fn shifted_network(
    entry: &Entry,
    width: usize,
    input: [usize; 3],
    shift: f32,
) -> (Graph, Parameters) {
    let graph = build(entry.name, Some(width), input, CLASSES).unwrap();
    let mut parameters = Parameters::initialise(&graph, Seed::new(3));
    let mut stream = Seed::new(6).derive(Purpose::Test, 0).root_stream();
    for (buffer, value) in parameters.buffers.iter_mut().zip([0.25, 0.5]) {
        buffer.values.iter_mut().for_each(|v| *v = value * (1.0 + 0.2 * stream.symmetric()));
    }
    let norms: Vec<_> = graph.nodes().iter().filter_map(norm_name).collect();
    for tensor in &mut parameters.trained {
        if norms.iter().any(|name| tensor.name.strip_prefix(*name).is_some_and(|rest| rest.starts_with('.')))
        {
            tensor.values.iter_mut().for_each(|v| *v += 0.5 * stream.symmetric());
            if tensor.name.ends_with(".bias") {
                let sign = |channel: usize| if channel.is_multiple_of(2) { shift } else { -shift };
                tensor.values.iter_mut().enumerate().for_each(|(channel, v)| *v += sign(channel));
            }
        }
    }
    if norms.is_empty() {
        return (graph, parameters);
    }
    let weights = Weights::constant(&parameters, DType::F32).unwrap();
    let pass = activations(&graph, &weights, &images(&graph, 4), Mode::Training).unwrap();
    for node in graph.nodes() {
        let Some(name) = norm_name(node) else { continue };
        let (mean, variance) = batch_statistics(pass.at(node.inputs[0])).unwrap();
        let (mean, variance) = (host::to_vec(&mean).unwrap(), host::to_vec(&variance).unwrap());
        let mut set = |part: &str, values: Vec<f32>| {
            let full = format!("{name}.{part}");
            parameters.buffers.iter_mut().find(|buffer| buffer.name == full).unwrap().values = values;
        };
        let shifted = mean.iter().zip(&variance).map(|(m, v)| m + 0.3 * v.sqrt() * stream.symmetric());
        set("running_mean", shifted.collect());
        set("running_var", variance.iter().map(|v| v * (1.0 + 0.3 * stream.symmetric())).collect());
    }
    (graph, parameters)
}

fn norm_name(node: &robin_nn::graph::Node) -> Option<&str> {
    match &node.layer {
        Layer::BatchNorm2d { name, .. } => Some(name),
        _ => None,
    }
}

/// Whether batch norm makes training another function than evaluation.
pub(crate) fn has_batch_norm(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| norm_name(node).is_some())
}

/// `n` random images for `graph`; the first are the same for every `n`.
pub(crate) fn images(graph: &Graph, n: usize) -> Tensor {
    draw_images(graph, n, 0)
}

/// As [`images`], others for every `draw`.
pub(crate) fn draw_images(graph: &Graph, n: usize, draw: u64) -> Tensor {
    let [c, h, w] = graph.input_shape();
    let mut stream = Seed::new(5).derive(Purpose::Test, draw).root_stream();
    let values: Vec<f32> = (0..n * c * h * w).map(|_| stream.uniform()).collect();
    Tensor::from_vec(values, (n, c, h, w), &Device::Cpu).unwrap()
}

/// `|found - expected| / |expected|` of each of `n` images.
pub(crate) fn relative_errors<E: Copy + Into<f64>>(found: &[f32], expected: &[E], n: usize) -> Vec<f64> {
    let rows = found.chunks_exact(found.len() / n).zip(expected.chunks_exact(found.len() / n));
    let error = |(found, expected): (&[f32], &[E])| {
        let pairs = found.iter().zip(expected);
        let square: f64 = pairs.map(|(&f, &e)| (f64::from(f) - e.into()).powi(2)).sum();
        (square / expected.iter().map(|&e| e.into().powi(2)).sum::<f64>()).sqrt()
    };
    rows.map(error).collect()
}

/// The middle of `values`, the upper one of two.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

pub(crate) fn labels(n: usize) -> Vec<u32> {
    (0..n as u32).map(|row| row * 7 % CLASSES as u32).collect()
}

/// Scores and input gradient of the summed cross-entropy.
pub(crate) fn step(model: &dyn Classifier, images: &Tensor, labels: Vec<u32>) -> (Vec<f32>, Vec<f32>) {
    let pass = model.forward(images, &Columns::All).unwrap();
    let scores = pass.scores().to_vec().unwrap();
    let gradient = CrossEntropy::new(labels).evaluate(pass.scores()).unwrap().score_gradient;
    (scores, host::to_vec(&pass.input_gradient(&gradient).unwrap()).unwrap())
}

/// What one training step on `batches` (images and labels) gives for the summed cross-entropy: gradients on all
/// weights, one after the other, and the parameters after it.
pub(crate) fn train_step(
    executor: &dyn Executor,
    graph: &Graph,
    parameters: &Parameters,
    batches: &[(&Tensor, Vec<u32>)],
) -> (Vec<f32>, Parameters) {
    let mut network = executor.network(graph, parameters.clone()).unwrap();
    let objectives: Vec<_> = batches.iter().map(|(_, labels)| CrossEntropy::new(labels.clone())).collect();
    let mut loss = |scores: &[Scores]| {
        objectives.iter().zip(scores).map(|(o, scores)| Ok(o.evaluate(scores)?.score_gradient)).collect()
    };
    let images: Vec<&Tensor> = batches.iter().map(|(images, _)| *images).collect();
    let gradients = network.train_step(&images, &mut loss).unwrap().0.concat();
    (gradients, network.parameters().clone())
}
