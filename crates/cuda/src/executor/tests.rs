use robin_core::ExampleId;
use robin_nn::device_resident::{ResidentAttack, ResidentCut, ResidentLoss, ResidentStart, ResidentStep};
use robin_nn::executor::Executor;
use robin_nn::{Bias, Convolution, Graph, Parameters};

use super::plan::{Operation, Plan};
use super::{Cuda, name};
use crate::kernels::host::Host;
use crate::kernels::{Precision, Selection};

fn same(channels: usize) -> Convolution {
    Convolution { channels, kernel: 3, stride: 1, padding: 1, bias: Bias::Learned }
}

fn graph() -> Graph {
    let graph = Graph::builder("toy", [3, 6, 6]).normalize("normalize").conv2d("a", same(4));
    let graph = graph.batch_norm2d("bn").relu();
    let x = graph.here();
    let graph = graph.conv2d("b", same(4)).add(x).relu().max_pool2d(2);
    graph.flatten().linear("fc", 3).build().unwrap()
}

#[test]
fn products_take_along_what_follows() {
    let plan = Plan::new(&graph());
    assert_eq!(plan.normalize.as_deref(), Some("normalize"));
    assert_eq!(plan.steps.len(), 4, "two convolutions, a pooling, and a linear layer");
    let norm = match &plan.steps[0].operation {
        Operation::Product { norm, .. } => norm.as_deref(),
        other => panic!("{other:?}"),
    };
    assert_eq!((norm, plan.steps[0].relu), (Some("bn"), true));
    assert_eq!((plan.steps[1].add, plan.steps[1].relu), (Some(plan.steps[0].output), true));
}

#[test]
fn names_say_what_decides_numbers() {
    let mut names = Vec::new();
    for precision in Precision::ALL {
        for selection in [Selection::Fastest, Selection::Repeatable] {
            names.push(name(precision, selection));
            assert!(name(precision, selection).ends_with(precision.name()));
        }
    }
    names.dedup();
    assert_eq!(names.len(), if cfg!(feature = "cudnn") { 6 } else { 3 });
}

#[test]
fn a_step_that_cannot_be_made_moves_nothing() {
    let Some(host) = Host::new().unwrap() else { return };
    let mut parameters = Parameters::initialise(&graph(), robin_core::Seed::new(1));
    parameters.trained[0].values[0] = f32::INFINITY;
    let executor = Cuda::on(host, Precision::F32);
    let mut network = executor.network(&graph(), parameters.clone()).unwrap();
    let resident = network.device_resident().unwrap();
    resident.load(&[128; 2 * 108], [3, 6, 6]).unwrap();
    let ids = [ExampleId::first(0), ExampleId::first(1)];
    let seed = robin_core::Seed::new(2);
    let budget = robin_core::Budget { norm: robin_core::Norm::Linf, epsilon: "0.1".parse().unwrap() };
    let attack =
        ResidentAttack { budget, steps: 1, step_size: 0.1, start: ResidentStart::UniformInBall(seed) };
    let step = ResidentStep {
        ids: &ids,
        labels: &[0, 1],
        cut: ResidentCut { padding: 0, reflect: false, crop: seed, flip: None },
        perturbed: &[0],
        attack: Some(attack),
        loss: ResidentLoss::CrossEntropy { smoothing: 0.0 },
        sgd: [0.1, 0.9, 0.0],
    };
    let outcome = resident.step(&step).unwrap();
    assert!(outcome.not_finite > 0 || !outcome.loss.is_finite());
    assert!(resident.velocities().unwrap().is_empty());
    network.settle().unwrap();
    assert_eq!(network.parameters(), &parameters);
}
