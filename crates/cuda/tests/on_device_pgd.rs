//! Attacks that a device makes by itself are those that the host makes with the same networks.

mod processor;

use robin_aggregation::{OneVsAll, STRATEGIES};
use robin_attacks::{Loss, Pgd, Start, StepSize};
use robin_core::{
    Adversarial, Attack, Batch, Budget, CancelToken, Classifier, ColumnTable, Columns, Epsilon, Error,
    Misclassified, Norm, Objective, ObjectiveSpec, Pass, PgdRun, Result, Scores, Seed, Target, Terms, host,
};
use robin_cuda::Cuda;
use robin_cuda::kernels::Precision;
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_nn::{Executor, Parameters};

use processor::as_device;

const STEPS: usize = 4;
const SHAPE: [usize; 3] = [1, 28, 28];

/// A classifier whose attacks are made on the host.
struct Hidden<'a>(&'a dyn Classifier);

impl Classifier for Hidden<'_> {
    fn num_classes(&self) -> usize {
        self.0.num_classes()
    }

    fn scores(&self, images: &candle_core::Tensor, columns: &Columns) -> Result<Scores> {
        self.0.scores(images, columns)
    }

    fn forward<'a>(&'a self, images: &candle_core::Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        self.0.forward(images, columns)
    }

    fn networks(&self, columns: &Columns) -> u32 {
        self.0.networks(columns)
    }
}

/// The executor; none, and says so, where no C++ compiler is.
fn cuda() -> Option<Cuda> {
    as_device().map(|host| Cuda::on(host, Precision::F32))
}

fn network(cuda: &Cuda, outputs: usize, seed: u64) -> Box<dyn Classifier> {
    let graph = robin_models::build("cnn2-small", Some(4), SHAPE, outputs).unwrap();
    cuda.classifier(&graph, &Parameters::initialise(&graph, Seed::new(seed))).unwrap()
}

fn one_vs_all(cuda: &Cuda, outputs: usize) -> OneVsAll {
    OneVsAll::new((0..4).map(|arm| network(cuda, outputs, arm)).collect()).unwrap()
}

/// Eleven digits, labelled as `model` sees them, so that there is something to break.
fn batch(model: &dyn Classifier) -> Batch {
    let data = Dataset::load(DatasetName::Mnist, Split::Test, &Source::Embedded).unwrap();
    let ids: Vec<_> = (0..11).map(robin_core::ExampleId::first).collect();
    let batch = data.batch(&ids, &LabelMap::Identity).unwrap();
    let labels = model.predict(&batch.images).unwrap();
    Batch { labels, ..batch }
}

fn pgd(norm: Norm) -> Pgd {
    let epsilon: Epsilon = if norm == Norm::L2 { "6.0" } else { "0.4" }.parse().unwrap();
    let step_size = StepSize::STANDARD.pixels(epsilon, STEPS).unwrap();
    Pgd {
        budget: Budget { norm, epsilon },
        steps: STEPS,
        step_size,
        restarts: 2,
        start: Start::UniformInBall,
    }
}

fn perturb(
    pgd: &Pgd,
    model: &dyn Classifier,
    objectives: &[Box<dyn Objective>],
    batch: &Batch,
) -> Adversarial {
    let target = Target { model, criterion: &Misclassified, cancel: &CancelToken::new() };
    pgd.perturb(&target, objectives, batch, Seed::new(7)).unwrap()
}

fn assert_same(found: &Adversarial, expected: &Adversarial, what: &str) {
    assert_eq!(found.cost, expected.cost, "{what}");
    for (found, expected) in [(&found.worst, &expected.worst), (&found.last, &expected.last)] {
        assert_eq!(found.verdicts, expected.verdicts, "{what}");
        let [a, b] = [found, expected].map(|iterate| host::to_vec(&iterate.images).unwrap());
        // A gradient near 0 may have the other sign.
        let apart = a.iter().zip(&b).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
        assert!(apart * 1_000 < a.len(), "{what}: {apart} of {} pixels differ", a.len());
    }
}

/// Whether the device makes this attack, as it does if there is a formula.
fn runs_there(model: &dyn Classifier, objective: &dyn Objective, batch: &Batch) -> bool {
    let Some(spec) = objective.spec() else { return false };
    let clean = host::to_vec(&batch.images).unwrap();
    let Pgd { budget, steps, step_size, .. } = pgd(Norm::L2);
    let run = PgdRun {
        budget,
        steps,
        step_size,
        clean: &clean,
        start: &clean,
        spec: &spec,
        cancel: &CancelToken::new(),
    };
    model.on_device_pgd().unwrap().run_pgd(&run).unwrap().is_some()
}

#[test]
fn a_network_is_attacked_on_its_device_as_on_the_host() {
    let Some(cuda) = cuda() else { return };
    let model = network(&cuda, 10, 3);
    let batch = batch(&*model);
    let clean = model.scores(&batch.images, &Columns::All).unwrap();
    for norm in [Norm::L2, Norm::Linf] {
        let objectives = Loss::Ce.prepare(&clean, &batch.labels).unwrap();
        assert!(runs_there(&*model, &*objectives[0], &batch));
        let found = perturb(&pgd(norm), &*model, &objectives, &batch);
        let expected = perturb(&pgd(norm), &Hidden(&*model), &objectives, &batch);
        assert_same(&found, &expected, &norm.to_string());
        let misclassified = expected.worst.verdicts.iter().filter(|verdict| verdict.misclassified).count();
        assert!(misclassified > 0, "{norm}: the attack does something");
    }
}

#[test]
fn aggregates_are_attacked_on_their_device_as_on_the_host() {
    let Some(cuda) = cuda() else { return };
    for outputs in [1, 2] {
        let model = one_vs_all(&cuda, outputs);
        let batch = batch(&model);
        let clean = model.scores(&batch.images, &Columns::All).unwrap();
        for entry in
            STRATEGIES.iter().filter(|entry| entry.losses.is_none_or(|some| some.contains(&Loss::Ce)))
        {
            let objectives = entry.name.build(Loss::Ce).unwrap().prepare(&clean, &batch).unwrap();
            let on_device = objectives.iter().all(|objective| runs_there(&model, &**objective, &batch));
            assert!(on_device, "{}", entry.name);
            for norm in [Norm::L2, Norm::Linf] {
                let found = perturb(&pgd(norm), &model, &objectives, &batch);
                let expected = perturb(&pgd(norm), &Hidden(&model), &objectives, &batch);
                assert_same(&found, &expected, &format!("{}, {norm}, {outputs} outputs", entry.name));
            }
        }
    }
}

#[test]
fn what_overflows_is_said() {
    let Some(cuda) = cuda() else { return };
    let graph = robin_models::build("cnn2-small", Some(4), SHAPE, 10).unwrap();
    let mut parameters = Parameters::initialise(&graph, Seed::new(3));
    let (healthy, last) = (network(&cuda, 10, 3), parameters.trained.len() - 1);
    let batch = batch(&*healthy);
    let clean = healthy.scores(&batch.images, &Columns::All).unwrap();
    parameters.trained[last].values[0] = f32::INFINITY;
    let model = cuda.classifier(&graph, &parameters).unwrap();
    let objectives = Loss::Ce.prepare(&clean, &batch.labels).unwrap();
    let spec = objectives[0].spec().unwrap();
    let images = host::to_vec(&batch.images).unwrap();
    let Pgd { budget, steps, step_size, .. } = pgd(Norm::Linf);
    let run = PgdRun {
        budget,
        steps,
        step_size,
        clean: &images,
        start: &images,
        spec: &spec,
        cancel: &CancelToken::new(),
    };
    let error = model.on_device_pgd().unwrap().run_pgd(&run).unwrap_err();
    assert!(
        matches!(error, Error::NotFinite { what: "score", example: 0, value } if value.is_infinite()),
        "{error}"
    );
    // Scores that are numbers, with a gradient that is none: tiny features, and weights whose difference overflows.
    let mut parameters = Parameters::initialise(&graph, Seed::new(3));
    for tensor in &mut parameters.trained {
        let factor = if tensor.shape.len() == 1 { 0.0 } else { 1.0 };
        tensor.values.iter_mut().for_each(|value| *value *= factor);
    }
    parameters.trained[0].values.iter_mut().for_each(|weight| *weight *= 1e-30);
    let weights = &mut parameters.trained[last - 1].values;
    let features = weights.len() / 10;
    weights.fill(0.0);
    weights[..features].fill(3e38);
    weights[features..2 * features].fill(-3e38);
    let model = cuda.classifier(&graph, &parameters).unwrap();
    let batch = Batch { labels: vec![1; batch.len()], ..batch };
    let objectives = Loss::Ce.prepare(&clean, &batch.labels).unwrap();
    for model in [&*model, &Hidden(&*model)] {
        let target = Target { model, criterion: &Misclassified, cancel: &CancelToken::new() };
        let error = pgd(Norm::Linf).perturb(&target, &objectives, &batch, Seed::new(7)).unwrap_err();
        assert!(matches!(error, Error::NotFinite { what: "input gradient", example: 0, .. }), "{error}");
    }
}

#[test]
fn a_stop_is_heard_and_malformed_columns_are_left_to_the_host() {
    let Some(cuda) = cuda() else { return };
    let model = one_vs_all(&cuda, 2);
    let batch = batch(&model);
    let (images, n) = (host::to_vec(&batch.images).unwrap(), batch.len());
    let Pgd { budget, steps, step_size, .. } = pgd(Norm::L2);
    let run = |columns, terms, cancel: &CancelToken| {
        let spec = ObjectiveSpec { columns, terms };
        let (clean, start) = (&images, &images);
        model.on_device_pgd().unwrap().run_pgd(&PgdRun {
            budget,
            steps,
            step_size,
            clean,
            start,
            spec: &spec,
            cancel,
        })
    };
    let labels = |label| Terms::CrossEntropy { labels: vec![label; n] };
    let stopped = CancelToken::new();
    stopped.cancel();
    assert!(matches!(run(Columns::All, labels(0), &stopped), Err(Error::Cancelled)));
    let table =
        |rows: usize, row: [u32; 2]| Columns::PerExample(ColumnTable { width: 2, indices: row.repeat(rows) });
    let go = CancelToken::new();
    assert!(run(table(n, [0, 1]), labels(0), &go).unwrap().is_some());
    for (columns, terms) in [
        (table(n - 1, [0, 1]), labels(0)),
        (table(n + 1, [0, 1]), labels(0)),
        (table(n, [1, 1]), labels(0)),
        (table(n, [0, 1]), labels(2)),
        (Columns::One(0), labels(0)),
        (Columns::One(9), Terms::Arms { targets: vec![true; n], shares: vec![1.0] }),
    ] {
        assert!(run(columns.clone(), terms, &go).unwrap().is_none(), "{columns:?}");
    }
}

/// Arms on several devices are attacked from the host.
#[test]
fn arms_of_several_devices_are_not_joined() {
    let (Some(one), Some(other)) = (cuda(), cuda()) else { return };
    let arms = |second| vec![network(&one, 2, 0), network(second, 2, 1)];
    assert!(OneVsAll::new(arms(&one)).unwrap().on_device_pgd().is_some());
    assert!(OneVsAll::new(arms(&other)).unwrap().on_device_pgd().is_none());
}
