//! A small network whose robust accuracy has a proved lower bound.

use candle_core::{Device, Tensor};
use robin_core::{Budget, Classifier, Columns, Norm, Pass, Result, Scores, host};
use robin_data::Dataset;

use super::linear::Linear;
use super::quantised::pick;

/// Scores `V relu(W x + b)`: positive and negative parts of a linear classifier's scores, side by side.
/// Interval bounds of its margin (Gowal et al. 2018) prove what no linf perturbation can do.
pub(super) struct Certified {
    hidden: Linear,
    /// `[classes][hidden]`.
    output: Vec<Vec<f64>>,
}

impl Certified {
    /// The network with the scores of `teacher`, bent: the positive part of a score counts half as much
    /// again.
    pub(super) fn around(teacher: &Linear) -> Self {
        let negated = |row: &Vec<f64>| row.iter().map(|w| -w).collect::<Vec<_>>();
        let weights = teacher.weights.iter().cloned().chain(teacher.weights.iter().map(negated)).collect();
        let bias = teacher.bias.iter().copied().chain(teacher.bias.iter().map(|b| -b)).collect();
        let classes = teacher.bias.len();
        let output = (0..classes)
            .map(|class| {
                let mut row = vec![0.0; 2 * classes];
                (row[class], row[classes + class]) = (1.5, -1.0);
                row
            })
            .collect();
        Self { hidden: Linear { weights, bias }, output }
    }

    fn outputs(&self, hidden: &[f64]) -> Vec<f32> {
        let product =
            |row: &Vec<f64>| row.iter().zip(hidden).map(|(v, h)| v * h.max(0.0)).sum::<f64>() as f32;
        self.output.iter().map(product).collect()
    }

    fn hidden(&self, image: &[f64]) -> Vec<f64> {
        let rows = self.hidden.weights.iter().zip(&self.hidden.bias);
        rows.map(|(row, bias)| row.iter().zip(image).map(|(w, x)| w * x).sum::<f64>() + bias).collect()
    }

    /// Share of images whose margin stays positive over all of the linf ball, as intervals prove it; 0 for
    /// l2.
    pub(super) fn certified_accuracy(&self, data: &Dataset, budget: Budget) -> crate::Result<f64> {
        if budget.norm != Norm::Linf {
            return Ok(0.0);
        }
        let (length, epsilon) = (data.shape().iter().product::<usize>(), budget.epsilon.get());
        let stands = |(image, &label): (&[u8], &u16)| {
            let image: Vec<f64> = image.iter().map(|&pixel| f64::from(f32::from(pixel) / 255.0)).collect();
            let centre = self.hidden(&image);
            let reach: Vec<f64> = self
                .hidden
                .weights
                .iter()
                .map(|row| epsilon * row.iter().map(|w| w.abs()).sum::<f64>())
                .collect();
            let bounds: Vec<(f64, f64)> =
                centre.iter().zip(&reach).map(|(c, r)| ((c - r).max(0.0), (c + r).max(0.0))).collect();
            let right = &self.output[usize::from(label)];
            self.output.iter().enumerate().filter(|(rival, _)| *rival != usize::from(label)).all(
                |(_, rival)| {
                    let lowest: f64 = right
                        .iter()
                        .zip(rival)
                        .zip(&bounds)
                        .map(|((r, o), (low, high))| (r - o) * if r - o > 0.0 { low } else { high })
                        .sum();
                    lowest > 0.0
                },
            )
        };
        let pixels = data.pixels()?;
        let correct = pixels.chunks_exact(length).zip(data.labels()).filter(|one| stands(*one)).count();
        Ok(correct as f64 / data.len() as f64)
    }
}

impl Classifier for Certified {
    fn num_classes(&self) -> usize {
        self.output.len()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        let (n, length) = host::image_rows("images", images)?;
        let values: Vec<f32> = host::to_vec(images)?
            .chunks_exact(length)
            .flat_map(|image| {
                let image: Vec<f64> = image.iter().copied().map(f64::from).collect();
                self.outputs(&self.hidden(&image))
            })
            .collect();
        pick(&Scores::from_vec(values, n, self.output.len())?, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let scores = pick(&self.scores(images, &Columns::All)?, columns)?;
        Ok(Box::new(CertifiedPass { model: self, images: images.clone(), scores, columns: columns.clone() }))
    }
}

struct CertifiedPass<'a> {
    model: &'a Certified,
    images: Tensor,
    scores: Scores,
    columns: Columns,
}

impl Pass for CertifiedPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let (n, length) = host::image_rows("images", &self.images)?;
        let classes = self.model.output.len();
        let upstream = self.columns.scatter(classes, &host::to_vec(score_gradient)?);
        let mut gradient = Vec::with_capacity(n * length);
        for (image, upstream) in
            host::to_vec(&self.images)?.chunks_exact(length).zip(upstream.chunks_exact(classes))
        {
            let image: Vec<f64> = image.iter().copied().map(f64::from).collect();
            let hidden = self.model.hidden(&image);
            let mut sum = vec![0.0_f64; length];
            for (unit, row) in
                self.model.hidden.weights.iter().enumerate().filter(|(unit, _)| hidden[*unit] > 0.0)
            {
                let own: f64 = upstream
                    .iter()
                    .zip(&self.model.output)
                    .map(|(&g, output)| f64::from(g) * output[unit])
                    .sum();
                sum.iter_mut().zip(row).for_each(|(sum, w)| *sum += own * w);
            }
            gradient.extend(sum.into_iter().map(|value| value as f32));
        }
        Ok(Tensor::from_vec(gradient, self.images.dims(), &Device::Cpu)?)
    }
}
