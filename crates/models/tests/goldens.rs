//! Every model against PyTorch, on every executor.

use candle_core::Tensor;
use robin_attacks::objectives::CrossEntropy;
use robin_core::{Columns, Objective, Scores, host};
use robin_models::build;
use robin_nn::{EXECUTORS, Gradients, Graph, NamedTensor, Parameters};
use robin_testkit::{Golden, assert_close, golden};

/// The golden weights; what is not in PyTorch's file is the identity normalisation.
fn parameters(golden: &Golden, graph: &Graph) -> Parameters {
    let specs = graph.tensors().into_iter().filter(|spec| !spec.name.starts_with("normalize."));
    let trained = specs.map(|spec| {
        let name = format!("weights.{}", spec.name);
        assert_eq!(golden.shape(&name), spec.shape, "{name}");
        NamedTensor { values: golden.f32(&name), name: spec.name, shape: spec.shape }
    });
    let constant =
        |name: &str, value| NamedTensor { name: name.to_owned(), shape: vec![1], values: vec![value] };
    Parameters {
        trained: trained.collect(),
        buffers: vec![constant("normalize.mean", 0.0), constant("normalize.std", 1.0)],
    }
}

fn agrees_with_pytorch(name: &str) {
    let golden = golden(name);
    let graph = build(name, Some(4), [1, 28, 28], 10).unwrap();
    let (images, labels) = (golden.tensor("images"), golden.integers("labels"));
    let objective = CrossEntropy::new(labels);
    for executor in EXECUTORS {
        let parameters = parameters(&golden, &graph);
        let model = executor.classifier(&graph, &parameters).unwrap();
        let pass = model.forward(&images, &Columns::All).unwrap();
        assert_close(&pass.scores().to_vec().unwrap(), &golden.f64("logits.float64"), 1e-6);
        let evaluation = objective.evaluate(pass.scores()).unwrap();
        let dx = host::to_vec(&pass.input_gradient(&evaluation.score_gradient).unwrap()).unwrap();
        assert_close(&dx, &golden.f64("input_gradient.float64"), 2e-6);

        let mut network = executor.network(&graph, parameters).unwrap();
        let mut loss = |scores: &[Scores]| -> robin_core::Result<Vec<Tensor>> {
            let evaluation = objective.evaluate(&scores[0])?;
            let mean = evaluation.values.iter().sum::<f32>() / 3.0;
            assert_close(&[mean], &golden.f64("loss.float64"), 1e-6);
            Ok(vec![(evaluation.score_gradient / 3.0)?])
        };
        let Gradients(gradients) = network.train_step(&[&images], &mut loss).unwrap();
        for (gradient, tensor) in gradients.iter().zip(&network.parameters().trained) {
            assert_close(gradient, &golden.f32(&format!("gradient.{}", tensor.name)), 2e-6);
        }
    }
}

#[test]
fn cnn2_agrees_with_pytorch() {
    agrees_with_pytorch("cnn2");
}

#[test]
fn cnn2_small_agrees_with_pytorch() {
    agrees_with_pytorch("cnn2-small");
}
