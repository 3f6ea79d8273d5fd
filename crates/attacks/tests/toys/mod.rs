//! Small classifiers, judges and objectives for the contract tests.

use std::sync::atomic::{AtomicU32, Ordering};

use candle_core::{Device, Tensor};
use robin_core::{
    Batch, Classifier, Columns, ExampleId, Objective, ObjectiveValues, Pass, Purpose, Result, Scores, Seed,
    SuccessCriterion, host,
};

/// Scores `W sin(9 x)`: many hills and valleys, so that steps overshoot and starts matter. Candle's autograd
/// is its backward pass.
pub(crate) struct Wavy {
    weights: Tensor,
}

impl Wavy {
    pub(crate) fn seeded(classes: usize, pixels: usize, seed: Seed) -> Self {
        let mut stream = seed.derive(Purpose::Test, 5).root_stream();
        let weights: Vec<f32> = (0..classes * pixels).map(|_| stream.gaussian() as f32).collect();
        Self { weights: Tensor::from_vec(weights, (pixels, classes), &Device::Cpu).unwrap() }
    }
}

impl Classifier for Wavy {
    fn num_classes(&self) -> usize {
        self.weights.dims()[1]
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        columns.validate(self.num_classes())?;
        let waves = (images.flatten_from(1)? * 9.0)?.sin()?;
        // Multiplied and summed elementwise: a matrix product might depend on the batch size.
        let terms = waves.unsqueeze(2)?.broadcast_mul(&self.weights.unsqueeze(0)?)?;
        let scores = terms.sum(1)?;
        match columns {
            Columns::All => Scores::new(scores),
            Columns::One(column) => Scores::new(scores.narrow(1, *column, 1)?),
            Columns::PerExample(_) => unreachable!("no test here asks for columns per example"),
        }
    }
}

/// `n` random images over the whole box, labelled as `model` sees them.
pub(crate) fn batch(model: &dyn Classifier, [c, h, w]: [usize; 3], n: usize) -> Batch {
    let seed = Seed::new(21).derive(Purpose::Test, 6);
    let ids: Vec<ExampleId> = (0..n as u32).map(ExampleId::first).collect();
    let pixels = ids.iter().flat_map(|&id| {
        let mut stream = seed.stream(id);
        (0..c * h * w).map(move |_| stream.uniform()).collect::<Vec<_>>()
    });
    let images = Tensor::from_vec(pixels.collect::<Vec<_>>(), (n, c, h, w), &Device::Cpu).unwrap();
    let labels = model.decide(&model.scores(&images, &Columns::All).unwrap()).unwrap();
    Batch::new(images, labels, ids).unwrap()
}

/// Nothing counts as misclassified.
pub(crate) struct NeverMisclassified;

impl SuccessCriterion for NeverMisclassified {
    fn misclassified(&self, _prediction: u32, _label: u32) -> bool {
        false
    }
}

/// Misclassified is what is predicted as the class after its own, of four: only few attacks get there and stay.
pub(crate) struct Next;

impl SuccessCriterion for Next {
    fn misclassified(&self, prediction: u32, label: u32) -> bool {
        prediction == (label + 1) % 4
    }
}

/// Raises one score, whatever the labels.
pub(crate) struct RaiseColumn {
    pub(crate) column: usize,
    pub(crate) n: usize,
}

impl Objective for RaiseColumn {
    fn columns(&self) -> Columns {
        Columns::One(self.column)
    }

    fn evaluate(&self, scores: &Scores) -> Result<ObjectiveValues> {
        assert_eq!((scores.len(), scores.columns()), (self.n, 1));
        let score_gradient = Tensor::from_vec(vec![1.0_f32; self.n], (self.n, 1), &Device::Cpu)?;
        Ok(ObjectiveValues { values: scores.to_vec()?, score_gradient })
    }

    fn select(&self, rows: &[usize]) -> Box<dyn Objective> {
        Box::new(Self { column: self.column, n: rows.len() })
    }
}

/// Counts the images that go through a classifier and back.
pub(crate) struct Counting<'a> {
    inner: &'a dyn Classifier,
    forward: AtomicU32,
    backward: AtomicU32,
}

impl<'a> Counting<'a> {
    pub(crate) fn new(inner: &'a dyn Classifier) -> Self {
        Self { inner, forward: AtomicU32::new(0), backward: AtomicU32::new(0) }
    }

    pub(crate) fn forward(&self) -> u32 {
        self.forward.load(Ordering::Relaxed)
    }

    pub(crate) fn backward(&self) -> u32 {
        self.backward.load(Ordering::Relaxed)
    }

    fn count(counter: &AtomicU32, images: &Tensor) -> Result<()> {
        counter.fetch_add(host::image_rows("images", images)?.0 as u32, Ordering::Relaxed);
        Ok(())
    }
}

impl Classifier for Counting<'_> {
    fn num_classes(&self) -> usize {
        self.inner.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        Self::count(&self.forward, images)?;
        self.inner.scores(images, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        Self::count(&self.forward, images)?;
        Ok(Box::new(CountingPass { inner: self.inner.forward(images, columns)?, counter: &self.backward }))
    }
}

struct CountingPass<'a> {
    inner: Box<dyn Pass + 'a>,
    counter: &'a AtomicU32,
}

impl Pass for CountingPass<'_> {
    fn scores(&self) -> &Scores {
        self.inner.scores()
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let gradient = self.inner.input_gradient(score_gradient)?;
        Counting::count(self.counter, &gradient)?;
        Ok(gradient)
    }
}
