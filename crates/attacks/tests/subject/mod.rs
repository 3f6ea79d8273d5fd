//! The classifiers that published attacks were run on: weights and images of `fixtures/pytorch/compare_attacks.py`.

use robin_aggregation::Aggregation;
use robin_core::{
    Batch, Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Seed, Target,
};
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_nn::{NamedTensor, Parameters, executor};
use robin_testkit::{Golden, golden};

pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The others' results.
    pub(crate) numbers: Golden,
    pub(crate) classifier: Box<dyn Classifier>,
    data: Dataset,
    /// Where in the built-in test images each image is.
    rows: Vec<u32>,
    epsilons: [(Norm, f64); 2],
}

impl Subject {
    /// `cnn2-small`, `one-vs-all` or `resnet18`, by the fast executor.
    pub(crate) fn load(name: &'static str) -> Self {
        let digits = (DatasetName::Mnist, [(Norm::Linf, 0.15), (Norm::L2, 1.5)]);
        let (file, (dataset, epsilons)) = match name {
            "cnn2-small" => ("attacks-cnn2-small", digits),
            "one-vs-all" => ("attacks-one-vs-all", digits),
            "resnet18" => {
                ("attacks-resnet18", (DatasetName::Cifar10, [(Norm::Linf, 4.0 / 255.0), (Norm::L2, 0.5)]))
            }
            other => panic!("no golden file of {other}"),
        };
        let numbers = golden(file);
        let data = Dataset::load(dataset, Split::Test, &Source::Embedded).expect("the images are built in");
        let shape = data.shape();
        let classifier = match name {
            "one-vs-all" => {
                let arm = |arm| network(&numbers, &format!("weights.arms.{arm}."), "cnn2-small", 4, shape, 2);
                Aggregation::OneVsAll.build((0..10).map(arm).collect()).expect("ten arms")
            }
            "resnet18" => network(&numbers, "weights.", name, 4, shape, 10),
            _ => network(&numbers, "weights.", name, 8, shape, 10),
        };
        let rows = numbers.integers("rows");
        Self { name, numbers, classifier, data, rows, epsilons }
    }

    pub(crate) fn budgets(&self) -> Vec<Budget> {
        let epsilon = |epsilon: f64| epsilon.to_string().parse().expect("a radius");
        self.epsilons.iter().map(|&(norm, radius)| Budget { norm, epsilon: epsilon(radius) }).collect()
    }

    /// The first `n` images, and which of them are right when clean.
    pub(crate) fn first(&self, n: usize) -> (Batch, Vec<usize>) {
        let ids: Vec<ExampleId> = self.rows[..n].iter().map(|&row| ExampleId::first(row)).collect();
        let batch = self.data.batch(&ids, &LabelMap::Identity).expect("rows of these images");
        let predictions = self.classifier.predict(&batch.images).expect("a classifier of these images");
        let right = (0..n).filter(|&row| predictions[row] == batch.labels[row]).collect();
        (batch, right)
    }

    /// Which of the first `n` images an attack with this loss of all scores breaks: by the best that it found,
    /// and by its final point. What is misclassified when clean is broken.
    pub(crate) fn broken(
        &self,
        config: robin_attacks::Config,
        budget: Budget,
        loss: robin_attacks::Loss,
        n: usize,
        seed: u64,
    ) -> robin_core::Result<[Vec<bool>; 2]> {
        let (whole, right) = self.first(n);
        let batch = whole.select(&right)?;
        let cancel = CancelToken::new();
        let target = Target { model: &*self.classifier, judge: &Misclassified, cancel: &cancel };
        let clean = self.classifier.scores(&batch.images, &Columns::All)?;
        let objectives = loss.prepare(&clean, &batch.labels)?;
        let attack = config.build(budget).expect("legal settings");
        let found = attack.perturb(&target, &objectives, &batch, Seed::new(seed))?;
        budget.verify(&batch.images, &found.worst.images)?;
        Ok([found.worst, found.last].map(|iterate| {
            let mut broken = vec![true; n];
            right.iter().zip(&iterate.rulings).for_each(|(&row, ruling)| broken[row] = ruling.broken);
            broken
        }))
    }

    /// Distances of the nearest adversarial images of the first `n`.
    pub(crate) fn distances(&self, attack: &str, norm: Norm, n: usize) -> robin_core::Result<Vec<f64>> {
        let (batch, _) = self.first(n);
        let cancel = CancelToken::new();
        let target = Target { model: &*self.classifier, judge: &Misclassified, cancel: &cancel };
        let entry = robin_attacks::ATTACKS.iter().find(|entry| entry.name == attack).expect("it is listed");
        let clean = self.classifier.scores(&batch.images, &Columns::All)?;
        let objectives = entry.loss.prepare(&clean, &batch.labels)?;
        let attack = entry.example.minimal(norm).expect("it exists in this norm");
        Ok(attack.smallest(&target, &objectives, &batch, Seed::new(4), None)?.distances)
    }
}

fn network(
    numbers: &Golden,
    prefix: &str,
    model: &str,
    width: usize,
    shape: [usize; 3],
    outputs: usize,
) -> Box<dyn Classifier> {
    let graph = robin_models::build(model, Some(width), shape, outputs).expect("a listed model");
    let mut parameters = Parameters::initialise(&graph, Seed::new(0));
    let Parameters { trained, buffers } = &mut parameters;
    for NamedTensor { name, shape, values } in trained.iter_mut().chain(buffers) {
        let there = format!("{prefix}{name}");
        assert_eq!(numbers.shape(&there), *shape, "{there}");
        *values = numbers.f32(&there);
    }
    executor("cpu").expect("it is listed").classifier(&graph, &parameters).expect("weights of this graph")
}
