//! The classifiers that published attacks were run on: weights and images of `fixtures/pytorch/compare_attacks.py`.

use std::fmt;

use candle_core::{DType, Tensor};
use robin_aggregation::Aggregation;
use robin_attacks::{Pgd, Start};
use robin_core::{
    Batch, Budget, CancelToken, Classifier, Columns, ExampleId, Misclassified, Norm, Scores, Seed, Target,
    host,
};
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};
use robin_nn::candle::{Mode, Weights, forward};
use robin_nn::{Graph, NamedTensor, Parameters, executor};
use robin_testkit::{Golden, golden};

pub(crate) struct ModelUnderTest {
    pub(crate) name: &'static str,
    /// The others' results.
    pub(crate) numbers: Golden,
    pub(crate) classifier: Box<dyn Classifier>,
    /// The same computing in f64, but of an aggregate.
    pub(crate) wide: Option<Wide>,
    data: Dataset,
    /// Where in the built-in test images each image is.
    rows: Vec<u32>,
    epsilons: [(Norm, f64); 2],
}

/// How far a path may end from where it ends in the others' program with images and scores in f64 too, or rounding decides a
/// step of it, and not the program.
const STABLE: f64 = 1e-5;

/// Where a path ends, beside the others'.
pub(crate) struct Path {
    pub(crate) images: usize,
    /// Images on which rounding decides no step.
    pub(crate) stable: usize,
    /// Share of values within 1e-6.
    pub(crate) equal: f64,
    /// Largest difference of a value of those images.
    pub(crate) largest_of_stable: f32,
    /// Largest difference of an objective of any image.
    pub(crate) objective: f32,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stable, equal, largest_of_stable, objective, .. } = self;
        write!(
            f,
            "{:.3}% of pixels equal, largest difference {largest_of_stable:.1e} on the {stable} images that rounding does not \
             decide, objectives within {objective:.1e}",
            100.0 * equal
        )
    }
}

impl ModelUnderTest {
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
        let wide = match name {
            "one-vs-all" => None,
            "resnet18" => Some(Wide::of(&numbers, name, 4, shape)),
            _ => Some(Wide::of(&numbers, name, 8, shape)),
        };
        Self { name, numbers, classifier, wide, data, rows, epsilons }
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
    /// and by its final point. What is misclassified when clean counts as well.
    pub(crate) fn misclassified(
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
        let target = Target { model: &*self.classifier, criterion: &Misclassified, cancel: &cancel };
        let clean = self.classifier.scores(&batch.images, &Columns::All)?;
        let objectives = loss.prepare(&clean, &batch.labels)?;
        let attack = config.build(budget).expect("legal settings");
        let found = attack.perturb(&target, &objectives, &batch, Seed::new(seed))?;
        budget.verify(&batch.images, &found.worst.images)?;
        Ok([found.worst, found.last].map(|iterate| {
            let mut misclassified = vec![true; n];
            right
                .iter()
                .zip(&iterate.verdicts)
                .for_each(|(&row, verdict)| misclassified[row] = verdict.misclassified);
            misclassified
        }))
    }

    /// Ten steps of PGD from the clean images, which need no random number, on `model` beside torchattacks' on the network with
    /// gradients in f64.
    pub(crate) fn path(&self, budget: Budget, model: &dyn Classifier) -> robin_core::Result<Path> {
        let key = |part| format!("path.{}.{part}", budget.norm);
        let (theirs, objectives) = (self.numbers.f32(&key("final")), self.numbers.f32(&key("objective")));
        let (batch, _) = self.first(objectives.len());
        let step_size = 2.5 * budget.epsilon.get() / 10.0;
        let attack = Pgd { budget, steps: 10, step_size, restarts: 1, start: Start::Clean };
        let objective = robin_attacks::Loss::Ce.against(batch.labels.clone());
        let moved = attack.ascend(model, &*objective, &batch, Seed::new(0), &CancelToken::new())?;
        let values = objective.evaluate(&model.scores(&moved, &Columns::All)?)?.values;
        let far: Vec<f32> = host::to_vec(&moved)?.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).collect();
        let rounding = self.numbers.f64(&key("float64"));
        let is_stable = |row: &usize| rounding[*row] <= STABLE;
        let largest = |values: &[f32]| values.iter().copied().fold(0.0, f32::max);
        let length = far.len() / batch.len();
        let of_stable = (0..batch.len()).filter(is_stable).map(|row| largest(&far[row * length..][..length]));
        Ok(Path {
            images: batch.len(),
            stable: (0..batch.len()).filter(is_stable).count(),
            equal: far.iter().filter(|&&far| far <= 1e-6).count() as f64 / far.len() as f64,
            largest_of_stable: of_stable.fold(0.0, f32::max),
            objective: values.iter().zip(&objectives).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max),
        })
    }

    /// Distances of the nearest adversarial images of the first `n`.
    pub(crate) fn distances(&self, attack: &str, norm: Norm, n: usize) -> robin_core::Result<Vec<f64>> {
        let (batch, _) = self.first(n);
        let cancel = CancelToken::new();
        let target = Target { model: &*self.classifier, criterion: &Misclassified, cancel: &cancel };
        let entry = robin_attacks::ATTACKS.iter().find(|entry| entry.name == attack).expect("it is listed");
        let clean = self.classifier.scores(&batch.images, &Columns::All)?;
        let objectives = entry.loss.prepare(&clean, &batch.labels)?;
        let attack = entry.example.minimal(norm).expect("it exists in this norm");
        Ok(attack.smallest(&target, &objectives, &batch, Seed::new(4), None)?.distances)
    }
}

/// A network that computes in f64, from images and to scores in f32.
pub(crate) struct Wide {
    graph: Graph,
    weights: Weights,
}

impl Wide {
    fn of(numbers: &Golden, model: &str, width: usize, shape: [usize; 3]) -> Self {
        let (graph, parameters) = parameters(numbers, "weights.", model, width, shape, 10);
        let weights = Weights::constant(&parameters, DType::F64).expect("numbers of f32");
        Self { graph, weights }
    }
}

impl Classifier for Wide {
    fn num_classes(&self) -> usize {
        self.graph.num_outputs()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> robin_core::Result<Scores> {
        assert_eq!(*columns, Columns::All);
        let scores = forward(&self.graph, &self.weights, &images.to_dtype(DType::F64)?, Mode::Evaluation);
        Scores::new(scores.map_err(robin_core::Error::from)?.to_dtype(DType::F32)?)
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
    let (graph, parameters) = parameters(numbers, prefix, model, width, shape, outputs);
    executor("cpu").expect("it is listed").classifier(&graph, &parameters).expect("weights of this graph")
}

/// A model with the golden weights.
fn parameters(
    numbers: &Golden,
    prefix: &str,
    model: &str,
    width: usize,
    shape: [usize; 3],
    outputs: usize,
) -> (Graph, Parameters) {
    let graph = robin_models::build(model, Some(width), shape, outputs).expect("a listed model");
    let mut parameters = Parameters::initialise(&graph, Seed::new(0));
    let Parameters { trained, buffers } = &mut parameters;
    for NamedTensor { name, shape, values } in trained.iter_mut().chain(buffers) {
        let there = format!("{prefix}{name}");
        assert_eq!(numbers.shape(&there), *shape, "{there}");
        *values = numbers.f32(&there);
    }
    (graph, parameters)
}
