//! One binary classifier per class; the highest score wins.

mod jobs;
#[cfg(test)]
mod tests;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::{
    Classifier, Columns, Error as CoreError, OnDevicePgd, Pass, Result as CoreResult, Scores, host,
};

use self::jobs::Job;
use crate::{Error, Result};

/// ROBIN: arm `i` was trained to tell class `i` from all others, its score is the log-odds
/// `s_i = z_1 - z_0` (or its only output), and the prediction is the arm with the highest score (paper 4).
///
/// Scores, never probabilities, are compared and differentiated: saturated probabilities tie and have no
/// gradient. Only the arms behind the wanted columns run; arms run side by side on the ambient rayon pool,
/// and their gradients are added in arm order, so results do not depend on the number of threads.
pub struct OneVsAll {
    arms: Vec<Box<dyn Classifier>>,
    outputs: usize,
    /// All arms on their device, if they are on one.
    on_device_pgd: Option<Box<dyn OnDevicePgd>>,
}

impl OneVsAll {
    /// Aggregates `arms`, in class order. Each has two outputs ("is another class", "is class i") or one.
    ///
    /// # Errors
    /// [`Error::TooFewArms`], [`Error::ArmOutputs`] or [`Error::MixedOutputs`]; [`Error::Device`] if a device fails.
    pub fn new(arms: Vec<Box<dyn Classifier>>) -> Result<Self> {
        if arms.len() < 2 {
            return Err(Error::TooFewArms { arms: arms.len() });
        }
        let outputs = crate::arms::check(&arms)?;
        let on_device: Option<Vec<&dyn OnDevicePgd>> = arms.iter().map(|arm| arm.on_device_pgd()).collect();
        let on_device_pgd = match on_device {
            Some(all) => all[0].one_vs_all(&all)?,
            None => None,
        };
        Ok(Self { arms, outputs, on_device_pgd })
    }

    /// The arms, in class order.
    pub fn arms(&self) -> &[Box<dyn Classifier>] {
        &self.arms
    }

    /// Runs `work` for every arm that `columns` needs, side by side; results in arm order, the first arm's
    /// error first.
    fn each_arm<T: Send>(
        &self,
        images: &Tensor,
        columns: &Columns,
        work: impl Fn(Job, &Tensor) -> CoreResult<T> + Sync,
    ) -> CoreResult<Vec<T>> {
        let (n, _) = host::image_rows("images", images)?;
        let results: Vec<CoreResult<T>> = jobs::plan(columns, n, self.arms.len())?
            .into_par_iter()
            .map(|job| match job.rows.len() {
                all if all == n => work(job, images),
                _ => {
                    let own = host::select(images, &job.rows)?;
                    work(job, &own)
                }
            })
            .collect();
        results.into_iter().collect()
    }

    /// `s` of each example from an arm's outputs.
    fn log_odds(&self, outputs: &Scores) -> CoreResult<Vec<f32>> {
        if outputs.columns() != self.outputs {
            return Err(CoreError::Shape {
                what: "outputs of an arm",
                found: outputs.tensor().dims().to_vec(),
                expected: format!("[n, {}]", self.outputs),
            });
        }
        let values = host::to_vec(outputs.tensor())?;
        Ok(match self.outputs {
            1 => values,
            _ => values.chunks_exact(2).map(|z| z[1] - z[0]).collect(),
        })
    }

    /// Puts the scores of each job where its columns are, `[n, width]`.
    fn gather<'a>(
        &self,
        n: usize,
        width: usize,
        scores: impl Iterator<Item = (&'a Job, CoreResult<Vec<f32>>)>,
    ) -> CoreResult<Scores> {
        let mut values = vec![0.0; n * width];
        for (job, scores) in scores {
            let scores = scores?;
            for place in &job.places {
                values[place.cell] = scores[place.row];
            }
        }
        Scores::from_vec(values, n, width)
    }
}

impl Classifier for OneVsAll {
    fn num_classes(&self) -> usize {
        self.arms.len()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> CoreResult<Scores> {
        let done = self.each_arm(images, columns, |job, images| {
            let outputs = self.arms[job.arm].scores(images, &Columns::All)?;
            Ok((job, outputs))
        })?;
        let width = columns.width(self.arms.len());
        self.gather(images.dims()[0], width, done.iter().map(|(job, outputs)| (job, self.log_odds(outputs))))
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> CoreResult<Box<dyn Pass + 'a>> {
        let done = self.each_arm(images, columns, |job, images| {
            let pass = self.arms[job.arm].forward(images, &Columns::All)?;
            Ok((job, pass))
        })?;
        let width = columns.width(self.arms.len());
        let scores = self.gather(
            images.dims()[0],
            width,
            done.iter().map(|(job, pass)| (job, self.log_odds(pass.scores()))),
        )?;
        Ok(Box::new(ArmsPass { outputs: self.outputs, dims: images.dims().to_vec(), scores, arms: done }))
    }

    fn networks(&self, columns: &Columns) -> u32 {
        columns.width(self.arms.len()) as u32
    }

    fn on_device_pgd(&self) -> Option<&dyn OnDevicePgd> {
        self.on_device_pgd.as_deref()
    }
}

/// The passes of all arms that ran.
struct ArmsPass<'a> {
    outputs: usize,
    dims: Vec<usize>,
    scores: Scores,
    arms: Vec<(Job, Box<dyn Pass + 'a>)>,
}

impl Pass for ArmsPass<'_> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> CoreResult<Tensor> {
        if score_gradient.dims() != self.scores.tensor().dims() {
            return Err(CoreError::Shape {
                what: "score gradient",
                found: score_gradient.dims().to_vec(),
                expected: format!("{:?}", self.scores.tensor().dims()),
            });
        }
        let score_gradient = host::to_vec(score_gradient)?;
        let outputs = self.outputs;
        let pulled_back: Vec<CoreResult<(Job, Vec<f32>)>> = self
            .arms
            .into_par_iter()
            .map(|(job, pass)| {
                let own = job.output_gradient(&score_gradient, outputs)?;
                let gradient = host::to_vec(&pass.input_gradient(&own)?)?;
                Ok((job, gradient))
            })
            .collect();
        let length: usize = self.dims[1..].iter().product();
        let mut sum = vec![0.0_f32; self.dims.iter().product()];
        // In arm order, whichever arm was ready first: sums of f32 depend on their order.
        for result in pulled_back {
            let (job, gradient) = result?;
            for (&row, own) in job.rows.iter().zip(gradient.chunks_exact(length.max(1))) {
                let whole = &mut sum[row * length..(row + 1) * length];
                whole.iter_mut().zip(own).for_each(|(sum, g)| *sum += g);
            }
        }
        Ok(Tensor::from_vec(sum, self.dims, &Device::Cpu)?)
    }
}
