//! Linear classifiers: their worst case is a formula.

use candle_core::{Device, Tensor};
use robin_core::{Budget, Classifier, Columns, Norm, Pass, Purpose, Result, Scores, Seed, host};
use robin_data::Dataset;

use super::quantised::pick;

/// Scores `W x + b`, in f64 and rounded once.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    /// `[classes][pixels]`.
    pub(super) weights: Vec<Vec<f64>>,
    /// `[classes]`.
    pub(super) bias: Vec<f64>,
}

impl Linear {
    /// Random weights in blocks, undecided on grey.
    pub(super) fn teacher(pixels: usize, classes: usize, seed: Seed) -> Self {
        let mut stream = seed.derive(Purpose::Control, 0).root_stream();
        let weights: Vec<Vec<f64>> = (0..classes)
            .map(|_| (0..pixels).map(|_| f64::from(stream.gaussian() as f32)).collect())
            .collect();
        let bias = weights.iter().map(|row| -0.5 * row.iter().sum::<f64>()).collect();
        Self { weights, bias }
    }

    /// One arm per class: two outputs, the second one `factor` times the class's own score.
    pub(super) fn arms(&self, factor: f64) -> Vec<Box<dyn Classifier>> {
        let arm = |(row, bias): (&Vec<f64>, &f64)| {
            let row: Vec<f64> = row.iter().map(|w| w * factor).collect();
            let zero = vec![0.0; row.len()];
            Box::new(Self { weights: vec![zero, row], bias: vec![0.0, bias * factor] }) as Box<dyn Classifier>
        };
        self.weights.iter().zip(&self.bias).map(arm).collect()
    }

    /// The same scores on images of equal pairs, and nothing left of them after the smallest push: each class
    /// also listens to the difference of each pair, loudly.
    pub(super) fn fragile(teacher: &Self) -> Self {
        let mut fragile = teacher.clone();
        for (class, row) in fragile.weights.iter_mut().enumerate() {
            let sign = if class % 2 == 0 { 1.0 } else { -1.0 };
            let strength = 60.0 * (1 + class / 2) as f64;
            for pair in row.chunks_exact_mut(2) {
                let mean = (pair[0] + pair[1]) / 2.0;
                (pair[0], pair[1]) = (mean + sign * strength, mean - sign * strength);
            }
        }
        fragile
    }

    pub(super) fn class_of(&self, image: &[f32]) -> u32 {
        robin_core::scores::ranked(&self.outputs(image))[0]
    }

    fn outputs(&self, image: &[f32]) -> Vec<f32> {
        let product = |row: &[f64]| row.iter().zip(image).map(|(w, x)| w * f64::from(*x)).sum::<f64>();
        self.weights.iter().zip(&self.bias).map(|(row, bias)| (product(row) + bias) as f32).collect()
    }

    /// The exact share of images that no perturbation within `budget` misleads, where the box is no
    /// constraint.
    pub(super) fn robust_accuracy(&self, data: &Dataset, budget: Budget) -> crate::Result<f64> {
        let length = data.shape().iter().product::<usize>();
        let stands = |(image, &label): (&[u8], &u16)| {
            let image: Vec<f64> = image.iter().map(|&pixel| f64::from(f32::from(pixel) / 255.0)).collect();
            let label = usize::from(label);
            (0..self.bias.len()).filter(|&rival| rival != label).all(|rival| {
                let difference: Vec<f64> =
                    self.weights[rival].iter().zip(&self.weights[label]).map(|(a, b)| a - b).collect();
                let lead: f64 = difference.iter().zip(&image).map(|(d, x)| d * x).sum::<f64>()
                    + self.bias[rival]
                    - self.bias[label];
                let dual = match budget.norm {
                    Norm::Linf => difference.iter().map(|d| d.abs()).sum::<f64>(),
                    Norm::L2 => difference.iter().map(|d| d * d).sum::<f64>().sqrt(),
                };
                lead + budget.epsilon.get() * dual < 0.0
            })
        };
        let pixels = data.pixels()?;
        let correct = pixels.chunks_exact(length).zip(data.labels()).filter(|one| stands(*one)).count();
        Ok(correct as f64 / data.len() as f64)
    }
}

impl Classifier for Linear {
    fn num_classes(&self) -> usize {
        self.bias.len()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        let (n, length) = host::image_rows("images", images)?;
        let values =
            host::to_vec(images)?.chunks_exact(length).flat_map(|image| self.outputs(image)).collect();
        pick(&Scores::from_vec(values, n, self.bias.len())?, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let all = self.scores(images, &Columns::All)?;
        let scores = pick(&all, columns)?;
        Ok(Box::new(LinearPass {
            model: self,
            dims: images.dims().to_vec(),
            scores,
            columns: columns.clone(),
        }))
    }
}

struct LinearPass<'a> {
    model: &'a Linear,
    dims: Vec<usize>,
    scores: Scores,
    columns: Columns,
}

impl Pass for LinearPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let length: usize = self.dims[1..].iter().product();
        let classes = self.model.bias.len();
        let mut gradient = vec![0.0_f64; self.dims.iter().product()];
        let upstream = self.columns.scatter(classes, &host::to_vec(score_gradient)?);
        for (own, upstream) in gradient.chunks_exact_mut(length).zip(upstream.chunks_exact(classes)) {
            for (&g, weights) in upstream.iter().zip(&self.model.weights) {
                own.iter_mut().zip(weights).for_each(|(sum, w)| *sum += f64::from(g) * w);
            }
        }
        let gradient: Vec<f32> = gradient.into_iter().map(|value| value as f32).collect();
        Ok(Tensor::from_vec(gradient, self.dims, &Device::Cpu)?)
    }
}
