//! True gradients pass, wrong ones do not, and probabilities are refused.

use candle_core::DType;
use robin_core::{Error as CoreError, ExampleId, Result as CoreResult};
use robin_testkit::{Cut, Linear};

use super::*;

const SHAPE: [usize; 3] = [1, 8, 8];
const SEED: Seed = Seed::new(5);

/// A small convolutional network in candle's operations.
struct Network {
    kernel: Tensor,
    weights: Tensor,
    pool: fn(&Tensor) -> candle_core::Result<Tensor>,
    output: fn(&Tensor) -> candle_core::Result<Tensor>,
}

impl Network {
    fn new(pool: fn(&Tensor) -> candle_core::Result<Tensor>) -> Self {
        let mut stream = SEED.root_stream();
        let mut draw = |count: usize| (0..count).map(|_| stream.gaussian() as f32 * 0.3).collect::<Vec<_>>();
        Self {
            kernel: Tensor::from_vec(draw(36), (4, 1, 3, 3), &Device::Cpu).unwrap(),
            weights: Tensor::from_vec(draw(64 * 3), (64, 3), &Device::Cpu).unwrap(),
            pool,
            output: |logits| Ok(logits.clone()),
        }
    }
}

impl Classifier for Network {
    fn num_classes(&self) -> usize {
        3
    }

    fn scores(&self, images: &Tensor, _columns: &Columns) -> CoreResult<Scores> {
        let x = (self.pool)(&images.conv2d(&self.kernel, 1, 1, 1, 1)?.relu()?)?;
        Scores::new((self.output)(&x.flatten_from(1)?.matmul(&self.weights)?)?)
    }
}

/// The maximum of each 2 x 2 window, by operations whose gradients are right.
fn pool_by_maximum(x: &Tensor) -> candle_core::Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n, c, h / 2, 2, w / 2, 2))?.max(5)?.max(3)
}

#[expect(clippy::disallowed_methods, reason = "its gradient is wrong, which is to be found out")]
fn pool_by_candle(x: &Tensor) -> candle_core::Result<Tensor> {
    x.max_pool2d(2)
}

fn batch() -> Batch {
    let mut stream = Seed::new(6).root_stream();
    let pixels = (0..12 * 64).map(|_| stream.uniform()).collect::<Vec<f32>>();
    let images = Tensor::from_vec(pixels, (12, 1, 8, 8), &Device::Cpu).unwrap();
    Batch::new(images, vec![0; 12], (0..12).map(ExampleId::first).collect()).unwrap()
}

fn checked(model: &dyn Classifier) -> Result<GradientReport> {
    check(model, &batch(), BadGradients::Refuse, SEED)
}

#[test]
fn a_correct_network_passes_with_room_to_spare() {
    let report = checked(&Network::new(pool_by_maximum)).unwrap();
    assert!(report.is_true() && report.median_error < 0.03 && report.flat == 0, "{report:?}");
    let report = checked(&Linear::seeded(3, SHAPE, SEED)).unwrap();
    assert!(report.median_error < 1e-3, "{report:?}");
}

#[test]
fn candles_max_pooling_is_caught() {
    let model = Network::new(pool_by_candle);
    let error = checked(&model).unwrap_err();
    assert!(matches!(error, Error::BadGradient { report } if report.median_error > 0.5), "{error}");
    assert!(error.to_string().contains("--allow-bad-gradients"), "{error}");
    let marked = check(&model, &batch(), BadGradients::Mark, SEED).unwrap();
    assert!(!marked.is_true());
}

/// Scores of one classifier with the gradient of another.
struct Pretends {
    scores: Linear,
    gradient: Linear,
}

impl Classifier for Pretends {
    fn num_classes(&self) -> usize {
        self.scores.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        self.scores.scores(images, columns)
    }

    fn forward<'a>(
        &'a self,
        images: &Tensor,
        columns: &Columns,
    ) -> CoreResult<Box<dyn robin_core::Pass + 'a>> {
        self.gradient.forward(images, columns)
    }
}

#[test]
fn gradients_of_another_scale_or_another_function_or_none_are_caught() {
    let scores = Linear::seeded(3, SHAPE, SEED);
    for gradient in
        [scores.clone().scaled(0.8), Linear::seeded(3, SHAPE, Seed::new(9)), scores.clone().scaled(0.0)]
    {
        let error = checked(&Pretends { scores: scores.clone(), gradient }).unwrap_err();
        assert!(matches!(error, Error::BadGradient { .. }), "{error}");
    }
    assert!(matches!(checked(&Cut(scores)), Err(Error::Core(CoreError::GraphCut))));
}

#[test]
fn a_constant_classifier_is_flat_and_not_false() {
    for bias in [vec![1.0, 2.0], vec![0.0; 3]] {
        let report = checked(&Linear::new(vec![0.0; 64 * bias.len()], bias, SHAPE)).unwrap();
        assert_eq!((report.verdict, report.is_true()), (GradientVerdict::Flat, true));
        assert_eq!((report.moved, report.flat, report.flat_share), (0, 48, 1.0));
    }
    // A slope that f32 rounds away cannot be compared with anything.
    let mut weights = vec![0.0; 128];
    weights[..64].fill(1e-12);
    let report = checked(&Linear::new(weights, vec![1.0, 2.0], SHAPE)).unwrap();
    assert_eq!(report.verdict, GradientVerdict::Flat, "{report:?}");
}

/// A classifier that is another one on images whose first pixel is bright.
struct Switched<A, B>(A, B);

impl<A: Classifier, B: Classifier> Switched<A, B> {
    /// Both of them on their own images, in the order of these.
    fn both<T>(
        &self,
        images: &Tensor,
        of: impl Fn(&dyn Classifier, &Tensor, usize) -> CoreResult<T>,
    ) -> CoreResult<Vec<T>> {
        let values = host::to_vec(images)?;
        let row = |row: usize| {
            let bright = values[row * 64] > 0.9;
            let model: &dyn Classifier = if bright { &self.1 } else { &self.0 };
            of(model, &images.narrow(0, row, 1)?, row)
        };
        (0..images.dims()[0]).map(row).collect()
    }
}

impl<A: Classifier, B: Classifier> Classifier for Switched<A, B> {
    fn num_classes(&self) -> usize {
        self.0.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        let rows = self.both(images, |model, image, _| Ok(model.scores(image, columns)?.tensor().clone()))?;
        Scores::new(Tensor::cat(&rows, 0)?)
    }

    fn forward<'a>(
        &'a self,
        images: &Tensor,
        columns: &Columns,
    ) -> CoreResult<Box<dyn robin_core::Pass + 'a>> {
        let scores = self.scores(images, columns)?;
        Ok(Box::new(SwitchedPass { model: self, images: images.clone(), columns: columns.clone(), scores }))
    }
}

struct SwitchedPass<'a, A, B> {
    model: &'a Switched<A, B>,
    images: Tensor,
    columns: Columns,
    scores: Scores,
}

impl<A: Classifier, B: Classifier> robin_core::Pass for SwitchedPass<'_, A, B> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> CoreResult<Tensor> {
        let rows = self.model.both(&self.images, |model, image, row| {
            model.forward(image, &self.columns)?.input_gradient(&score_gradient.narrow(0, row, 1)?)
        })?;
        Ok(Tensor::cat(&rows, 0)?)
    }
}

/// Images of which those that `bright` says have a bright first pixel.
fn marked(n: usize, bright: impl Fn(usize) -> bool) -> Batch {
    let mut stream = Seed::new(8).root_stream();
    let mut pixels: Vec<f32> = (0..n * 64).map(|_| 0.1 + 0.6 * stream.uniform()).collect();
    (0..n).filter(|&row| bright(row)).for_each(|row| pixels[row * 64] = 0.99);
    let images = Tensor::from_vec(pixels, (n, 1, 8, 8), &Device::Cpu).unwrap();
    Batch::new(images, vec![0; n], (0..n as u32).map(ExampleId::first).collect()).unwrap()
}

#[test]
fn neither_flat_nor_false_is_the_word_of_the_first_few() {
    let constant = || Linear::new(vec![0.0; 3 * 64], vec![1.0, 2.0, 3.0], SHAPE);
    let sound = || Linear::seeded(3, SHAPE, SEED);
    let false_gradient = || Pretends { scores: sound(), gradient: Linear::seeded(3, SHAPE, Seed::new(9)) };
    let report =
        |model: &dyn Classifier, batch: &Batch| check(model, batch, BadGradients::Mark, SEED).unwrap();
    // The first 16 are flat, the others are not.
    let found = report(&Switched(sound(), constant()), &marked(64, |row| row < 16));
    assert_eq!(found.verdict, GradientVerdict::True, "{found:?}");
    assert!(found.images > 16 && found.flat_share > 0.1, "{found:?}");
    // One in three has a false gradient, which no median shows.
    let found = report(&Switched(sound(), false_gradient()), &marked(64, |row| row % 3 == 0));
    assert_eq!(found.verdict, GradientVerdict::False, "{found:?}");
    assert!(found.median_error < found.tolerance && found.images_off > 16 && found.images == 64, "{found:?}");
    // Of the first 16 many, of all of them few: an unlucky draw.
    let found = report(&Switched(sound(), false_gradient()), &marked(64, |row| row < 6));
    assert_eq!(found.verdict, GradientVerdict::True, "{found:?}");
    assert!(found.images > 16 && found.images_off > 0, "{found:?}");
}

/// A rectifier without an offset, whose kink is where the background lies.
struct AtItsKink;

impl Classifier for AtItsKink {
    fn num_classes(&self) -> usize {
        2
    }

    fn scores(&self, images: &Tensor, _columns: &Columns) -> CoreResult<Scores> {
        let mut stream = SEED.root_stream();
        let mut draw = |count: usize| (0..count).map(|_| stream.gaussian() as f32).collect::<Vec<_>>();
        let first = Tensor::from_vec(draw(64 * 32), (64, 32), &Device::Cpu)?;
        let second = Tensor::from_vec(draw(32 * 2), (32, 2), &Device::Cpu)?;
        Scores::new(images.flatten_from(1)?.matmul(&first)?.relu()?.matmul(&second)?)
    }
}

#[test]
fn a_background_on_a_kink_is_looked_at_beside_it() {
    let black = Tensor::zeros((64, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
    let batch = Batch::new(black, vec![0; 64], (0..64).map(ExampleId::first).collect()).unwrap();
    let report = check(&AtItsKink, &batch, BadGradients::Refuse, SEED).unwrap();
    assert_eq!(report.verdict, GradientVerdict::True, "{report:?}");
    assert_eq!(report.images, 16, "the first look is enough: {report:?}");
}

#[test]
fn probabilities_are_refused_and_scores_that_look_a_little_like_them_are_not() {
    let mut model = Network::new(pool_by_maximum);
    model.output = |logits| {
        let e = logits.exp()?;
        e.broadcast_div(&e.sum_keepdim(1)?)
    };
    let message = checked(&model).unwrap_err().to_string();
    assert!(message.contains("probabilities") && message.contains("logits"), "{message}");
    let scores = |rows: &[[f32; 2]]| Scores::from_vec(rows.concat(), rows.len(), 2).unwrap();
    assert!(refuse_probabilities(&scores(&[[0.3, 0.7], [1.0, 0.00005]])).is_err());
    for fine in [&[[0.3, 0.7], [0.3, 0.8]][..], &[[1.5, -0.5]], &[[0.3, 0.7002]]] {
        refuse_probabilities(&scores(fine)).unwrap();
    }
}

#[test]
fn bad_input_is_named() {
    let model = Linear::seeded(3, SHAPE, SEED);
    let with = |change: fn(&mut Batch)| {
        let mut batch = batch();
        change(&mut batch);
        check(&model, &batch, BadGradients::Refuse, SEED).unwrap_err()
    };
    assert!(matches!(with(|b| b.labels[3] = 3), Error::Core(CoreError::Label { example: 3, label: 3, .. })));
    let brighter = with(|b| b.images = (&b.images + 0.5).unwrap());
    assert!(matches!(brighter, Error::Core(CoreError::OutsideBox { .. })), "{brighter}");
    let nan = with(|b| b.images = (&b.images * f64::NAN).unwrap());
    assert!(matches!(nan, Error::Core(CoreError::NotFinite { what: "pixel", .. })), "{nan}");
    let weights = Linear::new(vec![f32::NAN; 128], vec![0.0; 2], SHAPE);
    let error = checked(&weights).unwrap_err();
    assert!(matches!(error, Error::Core(CoreError::NotFinite { what: "score", .. })), "{error}");
    assert_eq!(batch().images.dtype(), DType::F32);
}
