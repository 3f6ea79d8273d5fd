//! One checkpoint attacked on every executor: its robust accuracy is the network's, not the executor's.

use robin_attacks::{Loss, Pgd, Start, StepSize};
use robin_core::{Batch, Budget, CancelToken, Misclassified, Norm, Objective, Scores, Seed, Strategy};
use robin_data::{Dataset, DatasetName, LabelMap, Sampling, Source, Split};
use robin_evaluation::{Clean, Evaluation, Options, Robust};
use robin_nn::{EXECUTORS, Executor, Graph, Parameters, executor};
use robin_training::{AttackMode, Config, Method, Outputs, Proportion, Schedule, Silent};

const EXAMPLES: usize = 100;

fn budget() -> Budget {
    Budget { norm: Norm::Linf, epsilon: "25/255".parse().unwrap() }
}

fn data(split: Split, images: usize) -> Dataset {
    Dataset::load(DatasetName::Mnist, split, &Source::Embedded).unwrap().take(images).unwrap()
}

/// A network that an attack breaks on some images and not on others.
fn checkpoint(graph: &Graph) -> Parameters {
    let config = Config {
        method: Method::PgdAt {
            budget: budget(),
            steps: 2,
            step_size: StepSize::STANDARD,
            proportion: Proportion::Cosine,
        },
        epochs: 6,
        batch_size: 40,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Steps { milestones: vec![0.5], factor: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 0,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.0,
        weight_averaging: None,
        validation: None,
    };
    let parameters = Parameters::initialise(graph, Seed::new(1));
    let mut network = executor("cpu").unwrap().network(graph, parameters).unwrap();
    let (data, cancel) = (data(Split::Train, 800), CancelToken::new());
    robin_training::train(
        &mut *network,
        &data,
        &LabelMap::Identity,
        &config,
        Seed::new(7),
        &mut Silent,
        &cancel,
    )
    .unwrap();
    network.parameters().clone()
}

/// The network's own loss.
struct CrossEntropy;

impl Strategy for CrossEntropy {
    fn prepare(&self, _clean: &Scores, batch: &Batch) -> robin_core::Result<Vec<Box<dyn Objective>>> {
        Ok(vec![Loss::Ce.against(batch.labels.clone())])
    }
}

fn measure(executor: &dyn Executor, graph: &Graph, parameters: &Parameters) -> (Clean, Robust) {
    let model = executor.classifier(graph, parameters).unwrap();
    let (data, cancel) = (data(Split::Test, EXAMPLES), CancelToken::new());
    let mut options = Options { batch_size: 50, cancel: &cancel, observer: &mut () };
    let step_size = StepSize::STANDARD.pixels(budget().epsilon, 10).unwrap();
    let pgd10 = Pgd { budget: budget(), steps: 10, step_size, restarts: 1, start: Start::UniformInBall };
    let evaluation =
        Evaluation { model: &*model, criterion: &Misclassified, data: &data, seed: Seed::new(3) };
    let clean = evaluation.clean(&mut options).unwrap();
    let robust = evaluation.robust(&clean, &pgd10, &CrossEntropy, &mut options).unwrap();
    (clean, robust)
}

#[test]
fn robust_accuracy_is_the_same_within_one_example() {
    let graph = robin_models::build("cnn2", Some(4), [1, 28, 28], 10).unwrap();
    let parameters = checkpoint(&graph);
    let correct =
        |misclassified: &[bool]| misclassified.iter().filter(|misclassified| !**misclassified).count();
    let counts = EXECUTORS.iter().map(|executor| {
        let (clean, robust) = measure(*executor, &graph, &parameters);
        [&clean.misclassified, &robust.worst.misclassified, &robust.last.misclassified]
            .map(|misclassified| correct(misclassified))
    });
    let counts: Vec<[usize; 3]> = counts.collect();
    let [clean, worst, last] = counts[0];
    // Only where some examples fall and some stand can executors differ.
    assert!(clean >= worst + 5 && worst >= 20, "{counts:?}");
    for others in &counts[1..] {
        assert_eq!(others[0], clean, "{counts:?}");
        assert!(others[1].abs_diff(worst) <= 1 && others[2].abs_diff(last) <= 1, "{counts:?}");
    }
}
