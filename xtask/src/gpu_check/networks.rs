//! Every listed model on the device and on the CPU: scores, gradients on images, and training steps.

use candle_core::{Device, Tensor};
use robin_core::{Columns, Purpose, Scores, Seed, host};
use robin_cuda::Precision;
use robin_models::MODELS;
use robin_nn::{Executor, Graph, Parameters, executor};

use super::model_under_test::ModelUnderTest;
use super::report::Finding;

const IMAGES: usize = 12;
const CLASSES: usize = 10;
/// Convolutions of a deep network, at least.
const DEEP: usize = 20;

/// A narrow network of every architecture; a rehearsal takes two that are quick.
fn graphs(subject: &ModelUnderTest) -> anyhow::Result<Vec<Graph>> {
    let models =
        MODELS.iter().filter(|entry| subject.is_gpu() || ["cnn2-small", "myrtle"].contains(&entry.name));
    models
        .map(|entry| {
            let shape = if entry.name.starts_with("cnn2") { [1, 28, 28] } else { [3, 32, 32] };
            let width = 8_usize.next_multiple_of(entry.width_step);
            Ok(robin_models::build(entry.name, Some(width), shape, CLASSES)?)
        })
        .collect()
}

/// How far scores and statistics of `precision` may be off, relative to their size.
fn allowed(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Tf32 => 2e-2,
        Precision::Bf16 => 1e-1,
    }
}

/// The same for gradients, which rectifiers at a kink make uncertain, the more of them there are.
fn allowed_for_gradients(precision: Precision, graph: &Graph) -> f64 {
    let convolutions = graph.tensors().iter().filter(|tensor| tensor.shape.len() == 4).count();
    match (precision, convolutions > DEEP) {
        (Precision::F32, _) => 1e-1,
        (Precision::Tf32, false) => 2e-1,
        (Precision::Tf32, true) => 4e-1,
        (Precision::Bf16, false) => 5e-1,
        // Gradients that have nothing to do with each other are 1.4 apart.
        (Precision::Bf16, true) => 9e-1,
    }
}

pub(super) fn agree(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for graph in graphs(subject)? {
        let expected = all(executor("cpu")?, &graph)?;
        for (precision, cuda) in subject.executors() {
            for ((name, expected), (_, found)) in expected.iter().zip(all(cuda, &graph)?) {
                let what = format!("{} in {precision}: {name}", graph.name());
                let allowed = match name.starts_with("gradient") {
                    true => allowed_for_gradients(precision, &graph),
                    false => allowed(precision),
                };
                findings.push(Finding { what, found: apart(&found, expected), allowed });
            }
        }
    }
    Ok(findings)
}

pub(super) fn repeat(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let cuda = subject.repeatable()?;
    let mut findings = Vec::new();
    for graph in graphs(subject)? {
        let [one, other] = [all(&cuda, &graph)?, all(&cuda, &graph)?];
        for ((name, one), (_, other)) in one.iter().zip(&other) {
            let found = one.iter().zip(other).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            let what = format!("{}: values of {name} that differ", graph.name());
            findings.push(Finding { what, found: found as f64, allowed: 0.0 });
        }
    }
    Ok(findings)
}

pub(super) fn companions(subject: &ModelUnderTest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for graph in graphs(subject)? {
        let parameters = Parameters::initialise(&graph, Seed::new(3));
        let images = images(&graph)?;
        for (precision, cuda) in subject.executors() {
            let model = cuda.classifier(&graph, &parameters)?;
            let together = model.scores(&images, &Columns::All)?.to_vec()?;
            let alone = model.scores(&images.narrow(0, 3, 1)?, &Columns::All)?.to_vec()?;
            let what = format!("{} in {precision}: scores alone", graph.name());
            let found = apart(&alone, &together[3 * CLASSES..4 * CLASSES]);
            findings.push(Finding { what, found, allowed: allowed(precision) });
        }
    }
    Ok(findings)
}

/// Length of the difference, relative to the expected length.
pub(super) fn apart(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let apart = square(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let length = square(&mut expected.iter().map(|v| f64::from(*v)));
    if apart == 0.0 { 0.0 } else { apart / length }
}

fn drawn(draw: u64, len: usize, symmetric: bool) -> Vec<f32> {
    let mut stream = Seed::new(5).derive(Purpose::Control, draw).root_stream();
    (0..len).map(|_| if symmetric { stream.symmetric() } else { stream.uniform() }).collect()
}

fn images(graph: &Graph) -> anyhow::Result<Tensor> {
    let [c, h, w] = graph.input_shape();
    Ok(Tensor::from_vec(drawn(0, IMAGES * c * h * w, false), (IMAGES, c, h, w), &Device::Cpu)?)
}

/// Everything that an executor computes of a network, by name.
fn all(executor: &dyn Executor, graph: &Graph) -> anyhow::Result<Vec<(String, Vec<f32>)>> {
    let (parameters, images) = (Parameters::initialise(graph, Seed::new(3)), images(graph)?);
    let upstream = Tensor::from_vec(drawn(1, IMAGES * CLASSES, true), (IMAGES, CLASSES), &Device::Cpu)?;
    let model = executor.classifier(graph, &parameters)?;
    let pass = model.forward(&images, &Columns::All)?;
    let mut found = vec![("scores".to_owned(), pass.scores().to_vec()?)];
    found.push(("gradient on images".to_owned(), host::to_vec(&pass.input_gradient(&upstream)?)?));
    let mut network = executor.network(graph, parameters.clone())?;
    let mut of_training = Vec::new();
    let gradients = network.train_step(&[&images], &mut |scores: &[Scores]| {
        of_training = scores[0].to_vec()?;
        Ok(vec![upstream.clone()])
    })?;
    found.push(("scores in training".to_owned(), of_training));
    // A bias before a batch norm has a gradient of rounding alone, so all are compared as one vector.
    found.push(("gradients on weights".to_owned(), gradients.0.concat()));
    // How they moved: what they begin with is the same anyway.
    let buffers = network.parameters().buffers.iter().zip(&parameters.buffers);
    let moved =
        buffers.flat_map(|(after, before)| after.values.iter().zip(&before.values).map(|(a, b)| a - b));
    found.push(("way of the running statistics".to_owned(), moved.collect()));
    Ok(found)
}
