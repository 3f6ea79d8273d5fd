//! Classifiers whose answers are known: a linear one with its worst case in closed form, and a faulty one.

use candle_core::{Device, Tensor};
use robin_core::{
    Batch, Budget, Classifier, Columns, Error, ExampleId, Norm, Pass, Purpose, Result, Scores, Seed, host,
};

/// Logits `W x + b`, computed per example and accumulated in f64, with its own backward pass.
///
/// The largest margin that a perturbation can reach is known ([`Linear::worst_margin`]), so an attack can be
/// asked for the optimum and not only for success.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[classes, pixels]`, row-major.
    weights: Vec<f32>,
    /// `[classes]`.
    bias: Vec<f32>,
    /// `[c, h, w]`.
    shape: [usize; 3],
}

impl Linear {
    /// `weights` `[k, c * h * w]` row-major, `bias` `[k]`, for images of `shape` `[c, h, w]`.
    ///
    /// # Panics
    /// If the lengths do not fit together.
    #[track_caller]
    pub fn new(weights: Vec<f32>, bias: Vec<f32>, shape: [usize; 3]) -> Self {
        let expected = bias.len() * shape.iter().product::<usize>();
        assert_eq!(weights.len(), expected, "a linear classifier has one weight per class and pixel");
        Self { weights, bias, shape }
    }

    /// Gaussian weights and biases.
    pub fn seeded(classes: usize, shape: [usize; 3], seed: Seed) -> Self {
        let mut stream = seed.derive(Purpose::Test, 0).root_stream();
        let mut draw = |count: usize| (0..count).map(|_| stream.gaussian() as f32).collect::<Vec<_>>();
        Self::new(draw(classes * shape.iter().product::<usize>()), draw(classes), shape)
    }

    /// The same with weights and biases times `factor`.
    pub fn scaled(mut self, factor: f32) -> Self {
        self.weights.iter_mut().chain(&mut self.bias).for_each(|value| *value *= factor);
        self
    }

    /// `n` images with pixels in `[0.4, 0.6]`, labelled as this classifier sees them: the box is no
    /// constraint for linf budgets up to 0.4, and every example is right when clean.
    pub fn batch(&self, n: usize, seed: Seed) -> Batch {
        let ids: Vec<ExampleId> = (0..n as u32).map(ExampleId::first).collect();
        let seed = seed.derive(Purpose::Test, 1);
        let pixels = ids.iter().flat_map(|&id| {
            let mut stream = seed.stream(id);
            (0..self.pixels()).map(move |_| 0.5 + 0.1 * stream.symmetric()).collect::<Vec<_>>()
        });
        let images = pixels.collect::<Vec<_>>();
        let labels = images.chunks_exact(self.pixels()).map(|image| self.predict(image)).collect();
        let [c, h, w] = self.shape;
        let images = Tensor::from_vec(images, (n, c, h, w), &Device::Cpu);
        Batch::new(images.expect("one value per pixel"), labels, ids).expect("lengths agree by construction")
    }

    /// Largest wrong logit minus the right one, of one flattened image; positive where misclassified.
    pub fn margin(&self, image: &[f32], label: u32) -> f64 {
        self.rivals(label).map(|rival| self.lead(image, rival, label)).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The largest margin within `budget` if the box did not exist: for each rival class its lead plus
    /// epsilon times the dual norm of the weight difference (l2 for l2, l1 for linf), and the largest of
    /// these.
    pub fn worst_margin(&self, image: &[f32], label: u32, budget: Budget) -> f64 {
        self.worst(image, label, budget).1
    }

    /// The image that has [`Linear::worst_margin`]; it may leave the box.
    pub fn worst_image(&self, image: &[f32], label: u32, budget: Budget) -> Vec<f32> {
        let rival = self.worst(image, label, budget).0;
        let direction = self.weight_difference(rival, label);
        let epsilon = budget.epsilon.get();
        let size = dual_size(budget.norm, &direction);
        let moved = image.iter().zip(&direction).map(|(&pixel, &d)| {
            let change = match budget.norm {
                Norm::Linf if d == 0.0 => 0.0,
                Norm::Linf => epsilon * d.signum(),
                Norm::L2 => epsilon * d / size,
            };
            (f64::from(pixel) + change) as f32
        });
        moved.collect()
    }

    /// Weights `[pixels]` and bias of one class.
    pub fn class(&self, class: u32) -> (&[f32], f32) {
        (self.row(class), self.bias[class as usize])
    }

    fn worst(&self, image: &[f32], label: u32, budget: Budget) -> (u32, f64) {
        let reach = |rival: u32| {
            let slope = dual_size(budget.norm, &self.weight_difference(rival, label));
            (rival, self.lead(image, rival, label) + budget.epsilon.get() * slope)
        };
        self.rivals(label)
            .map(reach)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("a margin needs at least two classes")
    }

    fn rivals(&self, label: u32) -> impl Iterator<Item = u32> + use<> {
        (0..self.bias.len() as u32).filter(move |&rival| rival != label)
    }

    fn lead(&self, image: &[f32], rival: u32, label: u32) -> f64 {
        self.logit(image, rival) - self.logit(image, label)
    }

    fn weight_difference(&self, rival: u32, label: u32) -> Vec<f64> {
        let pairs = self.row(rival).iter().zip(self.row(label));
        pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)).collect()
    }

    fn predict(&self, image: &[f32]) -> u32 {
        let logits: Vec<f32> = (0..self.bias.len() as u32).map(|c| self.logit(image, c) as f32).collect();
        robin_core::scores::ranked(&logits)[0]
    }

    fn logit(&self, image: &[f32], class: u32) -> f64 {
        let products = self.row(class).iter().zip(image).map(|(&w, &x)| f64::from(w) * f64::from(x));
        products.sum::<f64>() + f64::from(self.bias[class as usize])
    }

    fn row(&self, class: u32) -> &[f32] {
        &self.weights[class as usize * self.pixels()..][..self.pixels()]
    }

    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Size in the dual norm, which is how much a unit of the primal norm can raise a linear function.
fn dual_size(norm: Norm, direction: &[f64]) -> f64 {
    match norm {
        Norm::L2 => direction.iter().map(|d| d * d).sum::<f64>().sqrt(),
        Norm::Linf => direction.iter().map(|d| d.abs()).sum(),
    }
}

impl Classifier for Linear {
    fn num_classes(&self) -> usize {
        self.bias.len()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        let (n, length) = host::image_rows("images", images)?;
        if length != self.pixels() {
            let expected = format!("[n, {:?}]", self.shape);
            return Err(Error::Shape { what: "images", found: images.dims().to_vec(), expected });
        }
        let width = columns.width(self.num_classes());
        let classes = columns.of_each(n, self.num_classes())?;
        let images = host::to_vec(images)?;
        let rows = images.chunks_exact(length).zip(classes.chunks_exact(width));
        let values = rows.flat_map(|(image, classes)| classes.iter().map(|&c| self.logit(image, c) as f32));
        Scores::from_vec(values.collect(), n, width)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let scores = self.scores(images, columns)?;
        let classes = columns.of_each(scores.len(), self.num_classes())?;
        Ok(Box::new(LinearPass { model: self, scores, classes }))
    }
}

struct LinearPass<'a> {
    model: &'a Linear,
    scores: Scores,
    classes: Vec<u32>,
}

impl Pass for LinearPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let (n, width) = (self.scores.len(), self.scores.columns());
        if score_gradient.dims() != [n, width] {
            return Err(Error::Shape {
                what: "score gradient",
                found: score_gradient.dims().to_vec(),
                expected: format!("[{n}, {width}]"),
            });
        }
        let upstream = host::to_vec(score_gradient)?;
        let pixels = self.model.pixels();
        let mut gradient = Vec::with_capacity(n * pixels);
        for (factors, classes) in upstream.chunks_exact(width).zip(self.classes.chunks_exact(width)) {
            let mut sum = vec![0.0_f64; pixels];
            for (&factor, &class) in factors.iter().zip(classes) {
                for (sum, &weight) in sum.iter_mut().zip(self.model.row(class)) {
                    *sum += f64::from(factor) * f64::from(weight);
                }
            }
            gradient.extend(sum.into_iter().map(|value| value as f32));
        }
        let [c, h, w] = self.model.shape;
        Ok(Tensor::from_vec(gradient, (n, c, h, w), &Device::Cpu)?)
    }
}

/// A classifier whose graph is cut: its scores are right, its gradient never reaches the images. Everything
/// that differentiates must answer with [`Error::GraphCut`], and never with a zero gradient.
#[derive(Debug, Clone)]
pub struct Cut(pub Linear);

impl Classifier for Cut {
    fn num_classes(&self) -> usize {
        self.0.num_classes()
    }

    /// The scores come from host arithmetic, which candle's tape cannot see: the trait's own `forward`,
    /// autograd, therefore has no path to the images.
    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.0.scores(images, columns)
    }
}

#[cfg(test)]
mod tests;
