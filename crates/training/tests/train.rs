//! Laws of the training loop, on a narrow network and few images.

use approx::assert_abs_diff_eq;
use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Norm, Seed};
use robin_data::{Dataset, DatasetName, LabelMap, Sampling, Source, Split};
use robin_nn::{Bias, Convolution, EXECUTORS, Graph, Network, Parameters, executor};
use robin_training::{
    AttackMode, AttackStart, Config, EpochReport, Method, Observer, Outputs, Proportion, Schedule, Silent,
    StepReport, train,
};

fn data() -> Dataset {
    Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded).unwrap().take(200).unwrap()
}

fn config(method: Method, sampling: Sampling) -> Config {
    Config {
        method,
        epochs: 2,
        batch_size: 32,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Steps { milestones: vec![0.5], factor: 0.1 },
        sampling,
        crop_padding: 0,
        padding: robin_data::Padding::Zeros,
        flip: robin_data::Flip::None,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.0,
        weight_averaging: None,
        validation: None,
    }
}

fn pgd_at(norm: Norm) -> Method {
    let epsilon = match norm {
        Norm::L2 => "2.0",
        Norm::Linf => "25/255",
    };
    let budget = Budget { norm, epsilon: epsilon.parse().unwrap() };
    Method::PgdAt { budget, steps: 2, step_size: StepSize::STANDARD, proportion: Proportion::Cosine }
}

fn network(executor_name: &str, outputs: usize) -> Box<dyn Network> {
    let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], outputs).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    executor(executor_name).unwrap().network(&graph, parameters).unwrap()
}

fn trained(
    executor_name: &str,
    labels: &LabelMap,
    config: &Config,
    threads: usize,
) -> (Parameters, Vec<f64>) {
    trained_with(network(executor_name, labels.num_classes(10)), labels, config, threads)
}

fn trained_on(network: Box<dyn Network>, config: &Config, threads: usize) -> (Parameters, Vec<f64>) {
    trained_with(network, &LabelMap::Identity, config, threads)
}

fn trained_with(
    mut network: Box<dyn Network>,
    labels: &LabelMap,
    config: &Config,
    threads: usize,
) -> (Parameters, Vec<f64>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let summary = pool
        .install(|| {
            train(&mut *network, &data(), labels, config, Seed::new(7), &mut Silent, &CancelToken::new())
        })
        .unwrap();
    (network.parameters().clone(), summary.epochs.iter().map(|epoch| epoch.loss).collect())
}

#[test]
fn the_same_seed_gives_the_same_weights_whatever_the_threads() {
    for norm in [Norm::L2, Norm::Linf] {
        let config = config(pgd_at(norm), Sampling::Plain);
        let labels = LabelMap::Identity;
        assert_eq!(trained("cpu", &labels, &config, 1), trained("cpu", &labels, &config, 3));
    }
}

#[test]
fn every_executor_learns_and_they_stay_together() {
    let losses = |config: &Config| -> Vec<Vec<f64>> {
        EXECUTORS.iter().map(|e| trained(e.name(), &LabelMap::Identity, config, 2).1).collect()
    };
    let clean = Config { epochs: 4, ..config(Method::Standard {}, Sampling::Plain) };
    for losses in losses(&clean) {
        assert!(losses.is_sorted_by(|before, after| after < before), "{losses:?}");
    }
    let losses = losses(&config(pgd_at(Norm::L2), Sampling::Plain));
    for (a, b) in losses[0].iter().zip(&losses[1]) {
        assert_abs_diff_eq!(a, b, epsilon = 1e-3);
    }
}

#[test]
fn arms_learn_from_balanced_batches_too() {
    let labels = LabelMap::OneVsAll { class: 3 };
    let config = config(Method::Standard {}, Sampling::Balanced);
    let (_, losses) = trained("cpu", &labels, &config, 2);
    assert!(losses[1] < losses[0] && losses[1] < std::f64::consts::LN_2, "{losses:?}");
}

fn assert_near(found: &[f64], expected: &[f64]) {
    for (a, b) in found.iter().zip(expected) {
        assert_abs_diff_eq!(a, b, epsilon = 1e-3);
    }
}

#[test]
fn attacks_in_training_mode_are_one_on_every_executor_whatever_the_threads() {
    let methods = [
        pgd_at(Norm::L2),
        Method::Trades {
            budget: pgd_at(Norm::L2).budget().unwrap(),
            steps: 2,
            step_size: StepSize::STANDARD,
            lambda: 1.0,
            start: AttackStart::Gaussian { deviation: 0.01 },
        },
    ];
    for method in methods {
        let evaluation = config(method, Sampling::Plain);
        let training = Config { attack_mode: AttackMode::Train, ..evaluation.clone() };
        // Without a batch norm both modes are one; with it they are not.
        let run = |on, config: &Config, threads| {
            let graph = Graph::builder("normed", [1, 28, 28])
                .conv2d(
                    "conv1",
                    Convolution { channels: 4, kernel: 4, stride: 2, padding: 1, bias: Bias::None },
                )
                .batch_norm2d("bn1")
                .relu()
                .max_pool2d(2)
                .flatten()
                .linear("fc", 10)
                .build()
                .unwrap();
            let parameters = Parameters::initialise(&graph, Seed::new(1));
            trained_on(executor(on).unwrap().network(&graph, parameters).unwrap(), config, threads)
        };
        let found = run("cpu", &training, 1);
        assert_eq!(found, run("cpu", &training, 3));
        assert_ne!(found.0, run("cpu", &evaluation, 1).0);
        assert_near(&found.1, &run("candle", &training, 2).1);
        let [training, evaluation] =
            [training, evaluation].map(|config| trained("cpu", &LabelMap::Identity, &config, 2).1);
        assert_near(&training, &evaluation);
    }
}

/// Asks for a stop after some steps, and counts what it is told.
struct Stopper {
    token: CancelToken,
    after: usize,
    steps: usize,
    epochs: usize,
}

impl Observer for Stopper {
    fn step(&mut self, report: &StepReport) {
        self.steps += 1;
        assert_eq!(report.steps, 200 / 32);
        if self.steps == self.after {
            self.token.cancel();
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs += 1;
        assert_eq!((report.epoch, report.epochs), (self.epochs, 2));
    }
}

#[test]
fn a_stop_ends_the_run_between_two_steps() {
    let config = config(Method::Standard {}, Sampling::Plain);
    let mut network = network("cpu", 10);
    let token = CancelToken::new();
    let mut stopper = Stopper { token: token.clone(), after: 8, steps: 0, epochs: 0 };
    let stopped =
        train(&mut *network, &data(), &LabelMap::Identity, &config, Seed::new(7), &mut stopper, &token);
    assert!(stopped.unwrap_err().is_cancelled());
    assert_eq!((stopper.steps, stopper.epochs), (8, 1));
}

#[test]
fn misfits_and_divergence_are_named() {
    let fails = |outputs, labels: &LabelMap, config: &Config| {
        let mut network = network("cpu", outputs);
        train(&mut *network, &data(), labels, config, Seed::new(7), &mut Silent, &CancelToken::new())
            .unwrap_err()
            .to_string()
    };
    let plain = config(Method::Standard {}, Sampling::Plain);
    assert!(fails(2, &LabelMap::Identity, &plain).contains("2 outputs, the labels have 10 classes"));
    assert!(fails(2, &LabelMap::OneVsAll { class: 10 }, &plain).contains("10"));
    let mut wild = plain.clone();
    wild.learning_rate = 1e6;
    let message = fails(10, &LabelMap::Identity, &wild);
    assert!(message.contains("not finite in epoch 1, step"), "{message}");
}
