//! Finite differences through the aggregate of real networks: every strategy, loss and executor. Of the
//! networks two are enough, because an aggregate sees scores and gradients only; every model's own gradients
//! are checked beside the models.

use candle_core::{Device, Tensor};
use robin_aggregation::{OneVsAll, STRATEGIES};
use robin_attacks::Loss;
use robin_core::{Batch, Classifier, Columns, ExampleId, Purpose, Seed, host};
use robin_nn::{EXECUTORS, Executor, Parameters};
use robin_testkit::{Probe, assert_close, check_input_gradient};

const MODELS: [&str; 2] = ["cnn2", "cnn2-small"];
const ARMS: usize = 3;
const EXAMPLES: usize = 2;

fn robin(model: &str, executor: &dyn Executor) -> OneVsAll {
    let arm = |number| -> Box<dyn Classifier> {
        let graph = robin_models::build(model, Some(4), [1, 28, 28], 2).unwrap();
        let seed = Seed::new(11).derive(Purpose::Network, number);
        executor.classifier(&graph, &Parameters::initialise(&graph, seed)).unwrap()
    };
    OneVsAll::new((1..=ARMS as u64).map(arm).collect()).unwrap()
}

fn batch() -> Batch {
    let mut stream = Seed::new(5).derive(Purpose::Test, 0).root_stream();
    let values: Vec<f32> = (0..EXAMPLES * 784).map(|_| stream.uniform()).collect();
    let images = Tensor::from_vec(values, (EXAMPLES, 1, 28, 28), &Device::Cpu).unwrap();
    Batch::new(images, vec![2, 0], (0..EXAMPLES as u32).map(ExampleId::first).collect()).unwrap()
}

#[test]
fn gradients_through_the_aggregate_are_true_and_the_executors_agree() {
    for model in MODELS {
        for strategy in STRATEGIES {
            for loss in [Loss::Ce, Loss::Margin] {
                let mut found = Vec::new();
                for executor in EXECUTORS {
                    let (robin, batch) = (robin(model, *executor), batch());
                    let clean = robin.scores(&batch.images, &Columns::All).unwrap();
                    let mut gradients = Vec::new();
                    for objective in strategy.name.build(loss).unwrap().prepare(&clean, &batch).unwrap() {
                        let agreement =
                            check_input_gradient(&robin, &*objective, &batch.images, Probe::F32).unwrap();
                        agreement.assert_median_within(3e-2);
                        let pass = robin.forward(&batch.images, &objective.columns()).unwrap();
                        let upstream = objective.evaluate(pass.scores()).unwrap().score_gradient;
                        gradients.extend(host::to_vec(&pass.input_gradient(&upstream).unwrap()).unwrap());
                    }
                    found.push(gradients);
                }
                assert_close(&found[1], &found[0], 1e-5);
            }
        }
    }
}
