//! The optimiser against PyTorch: two steps of SGD with momentum and weight decay on a whole network.

use robin_attacks::objectives::CrossEntropy;
use robin_core::{Objective, Scores};
use robin_nn::{EXECUTORS, NamedTensor, Parameters};
use robin_testkit::{assert_close, golden};
use robin_training::Sgd;

#[test]
fn two_steps_on_a_network_end_where_pytorchs_do() {
    for name in ["cnn2", "cnn2-small", "mlp"] {
        let golden = golden(name);
        let graph = robin_models::build(name, Some(4), [1, 28, 28], 10).unwrap();
        let images = golden.tensor("images");
        let objective = CrossEntropy::new(golden.integers("labels"));
        for executor in EXECUTORS {
            let mut parameters = Parameters::initialise(&graph, robin_core::Seed::new(0));
            for NamedTensor { name: tensor, values, .. } in &mut parameters.trained {
                *values = golden.f32(&format!("weights.{tensor}"));
            }
            let mut network = executor.network(&graph, parameters).unwrap();
            let mut sgd = Sgd::new(0.9, 5e-4);
            for _ in 0..2 {
                let mut loss =
                    |scores: &[Scores]| Ok(vec![(objective.evaluate(&scores[0])?.score_gradient / 3.0)?]);
                let gradients = network.train_step(&[&images], &mut loss).unwrap();
                network.update(&mut |tensors| sgd.step(tensors, &gradients, 0.1));
            }
            for tensor in &network.parameters().trained {
                assert_close(&tensor.values, &golden.f32(&format!("after.{}", tensor.name)), 2e-6);
            }
        }
    }
}
