//! Training on a device, with this processor as the device.
#![allow(clippy::print_stdout, reason = "says what was found")]

#[path = "device_resident/failing.rs"]
mod failing;
mod processor;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use robin_attacks::StepSize;
use robin_core::{Budget, CancelToken, Columns, ExampleId, Norm, Objective, Scores, Seed, host};
use robin_cuda::Cuda;
use robin_cuda::kernels::host::Host;
use robin_cuda::kernels::pairs::{PairLoss, divergence_gradient};
use robin_cuda::kernels::{Buffer, Context, Precision, Real, layers};
use robin_data::{Dataset, DatasetName, Flip, LabelMap, Padding, Sampling, Source, Split};
use robin_nn::{Executor, Network, Parameters, executor};
use robin_training::losses::{Divergence, mart, trades};
use robin_training::{
    AttackMode, AttackStart, Checkpointing, Config, Error, Method, Outputs, Proportion, Schedule, Silent,
    Task, Trained, Trainer,
};

use failing::Failing;
use processor::as_device;

const NEVER: Duration = Duration::from_secs(1 << 30);
const STEPS: usize = 2 * (48 / 16);

fn data() -> Dataset {
    Dataset::load(DatasetName::Mnist, Split::Train, &Source::Embedded).unwrap().take(48).unwrap()
}

fn config(norm: Norm) -> Config {
    let epsilon = if norm == Norm::L2 { "2.0" } else { "25/255" };
    let budget = Budget { norm, epsilon: epsilon.parse().unwrap() };
    let (steps, step_size) = (4, StepSize::STANDARD);
    Config {
        method: Method::PgdAt { budget, steps, step_size, proportion: Proportion::Cosine },
        epochs: 2,
        batch_size: 16,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 5e-4,
        outputs: Outputs::Classes,
        schedule: Schedule::Cosine { last: 0.1 },
        sampling: Sampling::Plain,
        crop_padding: 2,
        padding: Padding::Reflect,
        flip: Flip::Horizontal,
        attack_mode: AttackMode::Eval,
        label_smoothing: 0.1,
        weight_averaging: None,
        validation: None,
    }
}

fn network(executor: &dyn Executor) -> Box<dyn Network> {
    let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], 10).unwrap();
    let parameters = Parameters::initialise(&graph, Seed::new(1));
    executor.network(&graph, parameters).unwrap()
}

fn task<'a>(data: &'a Dataset, config: &'a Config) -> Task<'a> {
    Task { data, labels: &LabelMap::Identity, config, seed: Seed::new(7) }
}

fn trained(executor: &dyn Executor, config: &Config) -> Trained {
    let (mut network, data) = (network(executor), data());
    let mut trainer = Trainer::new(&mut *network, task(&data, config)).unwrap();
    trainer.run(&mut Silent, &CancelToken::new()).unwrap();
    trainer.trained()
}

/// The executor; none, and says so, where no C++ compiler is.
fn cuda(precision: Precision) -> Option<Cuda> {
    as_device().map(|host| Cuda::on(host, precision))
}

#[test]
fn steps_on_a_device_are_those_of_the_cpu() {
    let Some(cuda) = cuda(Precision::F32) else { return };
    for norm in [Norm::L2, Norm::Linf] {
        let config = config(norm);
        let (expected, found) = (trained(executor("cpu").unwrap(), &config), trained(&cuda, &config));
        for (a, b) in expected.summary.epochs.iter().zip(&found.summary.epochs) {
            assert!((a.loss - b.loss).abs() < 1e-4 && a.perturbed == b.perturbed, "{norm}: {a:?} {b:?}");
            assert!((a.accuracy - b.accuracy).abs() < 0.03, "{norm}: {a:?} {b:?}");
        }
        for (a, b) in expected.last.trained.iter().zip(&found.last.trained) {
            let worst = a.values.iter().zip(&b.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-3, "{norm}, {}: {worst}", a.name);
        }
    }
}

/// TRADES and MART from every start, in short attacks: where a gradient is nearly zero its sign is the last bit's.
fn pair_methods(norm: Norm) -> Vec<Method> {
    let Some(budget) = config(norm).method.budget() else { unreachable!("there is an attack") };
    let (steps, step_size, lambda) = (1, StepSize::Relative(0.2), 100.0);
    let gaussian = AttackStart::Gaussian { deviation: 0.05 };
    let mut methods = Vec::new();
    for start in [gaussian, AttackStart::UniformInBall {}] {
        methods.push(Method::Trades { budget, steps, step_size, lambda, start });
    }
    for start in [gaussian, AttackStart::Clean {}] {
        methods.push(Method::Mart { budget, steps, step_size, lambda, start });
    }
    methods
}

#[test]
fn steps_of_trades_and_mart_on_a_device_are_those_of_the_cpu() {
    let Some(cuda) = cuda(Precision::F32) else { return };
    for norm in [Norm::L2, Norm::Linf] {
        for method in pair_methods(norm) {
            let label_smoothing = if matches!(method, Method::Mart { .. }) { 0.0 } else { 0.1 };
            let config = Config { method, epochs: 1, learning_rate: 0.01, label_smoothing, ..config(norm) };
            let (expected, found) = (trained(executor("cpu").unwrap(), &config), trained(&cuda, &config));
            let (a, b) = (&expected.summary.epochs[0], &found.summary.epochs[0]);
            assert!((a.loss - b.loss).abs() < 1e-7 * a.loss, "{config:?}: {a:?} {b:?}");
            assert!((a.accuracy - b.accuracy).abs() < 0.03, "{config:?}: {a:?} {b:?}");
            assert_eq!(a.perturbed, b.perturbed, "{config:?}");
            for (a, b) in expected.last.trained.iter().zip(&found.last.trained) {
                let worst = a.values.iter().zip(&b.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst < 1e-3, "{config:?}, {}: {worst}", a.name);
            }
        }
    }
}

/// Rows of scores, some of them saturated, perturbed and clean.
fn scores(n: usize, classes: usize, scale: f32) -> Vec<f32> {
    let value = |at: usize| ((at * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    (0..n * classes).map(|at| scale * value(at + (scale * 100.0) as usize)).collect()
}

#[test]
fn losses_of_pairs_are_those_of_the_host() {
    const N: usize = 6;
    let Some(host) = Host::new().unwrap() else { return };
    let context = Context::new(host, Precision::F32);
    for classes in [2, 10] {
        for (clean, perturbed) in [(3.0, 5.0), (60.0, 1.0), (1e-3, 1e-3 + 1e-5), (400.0, 900.0)] {
            let both = [clean, perturbed].map(|scale| scores(N, classes, scale));
            let labels: Vec<u32> = (0..N).map(|row| (row % classes) as u32).collect();
            let [p, q] = both.clone().map(|values| Scores::from_vec(values, N, classes).unwrap());
            let rows = both.map(|values| packed(&context, classes, &values));
            let on_rows = [(); 2].map(|()| context.buffer(rows[0].len()).unwrap());
            let on_labels = context.upload(&labels).unwrap();
            for (loss, expected) in [
                (PairLoss::Trades { lambda: 6.0, smoothing: 0.1 }, trades(&p, &q, &labels, 6.0, 0.1)),
                (PairLoss::Trades { lambda: 6.0, smoothing: 0.0 }, trades(&p, &q, &labels, 6.0, 0.0)),
                (PairLoss::Mart { lambda: 5.0 }, mart(&p, &q, &labels, 5.0)),
            ] {
                let expected = expected.unwrap();
                let what = format!("{loss:?} of {classes} classes at {clean} and {perturbed}");
                let [a, b] = &rows;
                let found = loss
                    .losses(&context, (classes, 1.0), [a, b], &on_labels, [&on_rows[0], &on_rows[1]])
                    .unwrap();
                for (found, expected) in found.values.to_vec().unwrap().iter().zip(&expected.values) {
                    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found} {expected}");
                }
                let predictions = found.predictions.each_ref().map(|found| found.to_vec().unwrap());
                assert_eq!(predictions, [&p, &q].map(|scores| scores.arg_max().unwrap()), "{what}");
                for (found, expected) in on_rows.iter().zip(&expected.gradients) {
                    let expected = Scores::new(expected.clone()).unwrap().to_vec().unwrap();
                    close(&unpacked(&context, classes, found), &expected, &what);
                }
            }
            let gradient = context.buffer(rows[0].len()).unwrap();
            divergence_gradient(&context, classes, [&rows[0], &rows[1]], &gradient).unwrap();
            let expected = Divergence::from(&p).unwrap().evaluate(&q).unwrap().score_gradient;
            let expected = Scores::new(expected).unwrap().to_vec().unwrap();
            close(&unpacked(&context, classes, &gradient), &expected, "the divergence");
        }
    }
}

fn packed(context: &Context, classes: usize, values: &[f32]) -> Buffer<Real> {
    let rows = context.buffer(values.len() / classes * classes.next_multiple_of(8)).unwrap();
    layers::write_score_gradient(context, classes, &context.upload(values).unwrap(), &rows).unwrap();
    rows
}

fn unpacked(context: &Context, classes: usize, rows: &Buffer<Real>) -> Vec<f32> {
    let values = context.buffer(rows.len() / classes.next_multiple_of(8) * classes).unwrap();
    layers::read_scores(context, classes, rows, &values).unwrap();
    values.to_vec().unwrap()
}

/// Up to the last bits of `exp` and `log`.
fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs() + 1e-12, "{what}: {found} {expected}");
    }
}

/// Where two images have the same scores an attack on their divergence never moves, and a network trained so looks robust to it.
#[test]
fn trades_does_not_begin_nearer_to_the_image_than_bf16_can_tell() {
    let (Some(f32), Some(bf16)) = (cuda(Precision::F32), cuda(Precision::Bf16)) else { return };
    let method = |deviation| {
        let Some(budget) = config(Norm::Linf).method.budget() else { unreachable!("there is an attack") };
        let (steps, step_size, lambda) = (1, StepSize::STANDARD, 6.0);
        Method::Trades { budget, steps, step_size, lambda, start: AttackStart::Gaussian { deviation } }
    };
    let (data, labels) = (data(), LabelMap::Identity);
    for (executor, deviation, fits) in [(&f32, 0.001, true), (&bf16, 0.001, false), (&bf16, 1.0 / 64.0, true)]
    {
        let (mut network, config) =
            (network(executor), Config { method: method(deviation), ..config(Norm::Linf) });
        let task = Task { data: &data, labels: &labels, config: &config, seed: Seed::new(7) };
        let found = Trainer::new(&mut *network, task).map(|_| ());
        match found {
            Ok(()) => assert!(fits, "{deviation}"),
            Err(error) => assert!(!fits && error.to_string().contains("uniform-in-ball"), "{error}"),
        }
    }
}

/// Why: of images moved by noise, how many of a trained network's divergences have no gradient.
#[test]
fn in_bf16_small_noise_leaves_images_without_a_gradient() {
    let Some(bf16) = cuda(Precision::Bf16) else { return };
    let longer = Config { epochs: 12, ..config(Norm::Linf) };
    let parameters = trained(executor("cpu").unwrap(), &longer).last;
    let graph = robin_models::build("cnn2-small", Some(4), [1, 28, 28], 10).unwrap();
    let model = bf16.classifier(&graph, &parameters).unwrap();
    let ids: Vec<ExampleId> = (0..48).map(ExampleId::first).collect();
    let images = data().batch(&ids, &LabelMap::Identity).unwrap().images;
    let clean = Divergence::from(&model.scores(&images, &Columns::All).unwrap()).unwrap();
    let without = |deviation: f64| {
        let noisy = host::map_images(&images, &images, |row, _, image| {
            let mut stream = Seed::new(3).stream(ids[row]);
            for pixel in image {
                *pixel = (f64::from(*pixel) + deviation * stream.gaussian()).clamp(0.0, 1.0) as f32;
            }
        });
        let scores = model.scores(&noisy.unwrap(), &Columns::All).unwrap();
        let gradient =
            Scores::new(clean.evaluate(&scores).unwrap().score_gradient).unwrap().to_vec().unwrap();
        gradient.chunks(10).filter(|row| row.iter().all(|value| *value == 0.0)).count()
    };
    let (near, far) = (without(0.001), without(1.0 / 64.0));
    println!("without a gradient: {near} of 48 images at 0.001, {far} at 1/64");
    assert!(near > 12 && far <= 2, "{near} {far}");
}

#[test]
fn bf16_stays_near() {
    let Some(cuda) = cuda(Precision::Bf16) else { return };
    let config = config(Norm::Linf);
    let (expected, found) = (trained(executor("cpu").unwrap(), &config), trained(&cuda, &config));
    for (a, b) in expected.summary.epochs.iter().zip(&found.summary.epochs) {
        assert!((a.loss - b.loss).abs() < 0.05, "{a:?} {b:?}");
    }
}

/// Takes up what is at `path`, and does so many steps, or all.
fn go_on(executor: &dyn Executor, config: &Config, path: &Path, steps: usize) -> Result<Trained, Error> {
    let (mut network, data) = (network(executor), data());
    let checkpointing = Checkpointing::new(path, NEVER);
    let (mut trainer, _) = Trainer::open(&mut *network, task(&data, config), checkpointing, &mut Silent)?;
    for _ in 0..steps {
        trainer.step(&mut Silent, &CancelToken::new())?;
    }
    trainer.save()?;
    Ok(trainer.trained())
}

#[test]
fn a_stop_after_any_step_moves_no_bit() {
    let Some(cuda) = cuda(Precision::F32) else { return };
    let config = config(Norm::Linf);
    let expected = trained(&cuda, &config);
    for stop in 0..=STEPS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.ckpt");
        go_on(&cuda, &config, &path, stop).unwrap();
        let found = go_on(&cuda, &config, &path, STEPS - stop).unwrap();
        assert_eq!(found, expected, "stopped after {stop} steps");
    }
}

#[test]
fn a_lost_device_leaves_the_checkpoint_as_it_was() {
    let Some(whole) = cuda(Precision::F32) else { return };
    let host = Host::new().unwrap().unwrap();
    let config = config(Norm::Linf);
    let expected = trained(&whole, &config);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    go_on(&whole, &config, &path, 2).unwrap();
    let before = std::fs::read(&path).unwrap();
    // In the middle of an attack, and before anything was done.
    for launches in [90, 0] {
        let device = Failing::after(launches, host.clone());
        let error =
            go_on(&Cuda::on(Arc::new(device), Precision::F32), &config, &path, STEPS - 2).unwrap_err();
        assert!(error.to_string().contains("the device is lost"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "after {launches} launches");
    }
    assert_eq!(go_on(&whole, &config, &path, STEPS - 2).unwrap(), expected);
}

#[test]
fn a_device_that_cannot_record_makes_the_same_steps() {
    let Some(whole) = cuda(Precision::F32) else { return };
    let config = config(Norm::Linf);
    let device = Failing::after(usize::MAX, Host::new().unwrap().unwrap());
    assert_eq!(trained(&Cuda::on(Arc::new(device), Precision::F32), &config), trained(&whole, &config));
}

#[test]
fn a_device_that_is_too_small_says_how_much_was_needed() {
    let Some(_) = cuda(Precision::F32) else { return };
    let small = Host::with_limit(200_000).unwrap().unwrap();
    let config = config(Norm::Linf);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.ckpt");
    let error = go_on(&Cuda::on(small, Precision::F32), &config, &path, STEPS).unwrap_err().to_string();
    assert!(error.contains("MB more were asked for"), "{error}");
    assert!(error.contains("smaller batch") && error.contains("of 0.2 MB are free"), "{error}");
}
