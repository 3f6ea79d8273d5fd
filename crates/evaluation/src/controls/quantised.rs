//! A classifier that rounds its images first: its gradient is zero almost everywhere.

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

/// `inner` behind `round(x * levels) / levels`, with the gradient that this function has: none.
pub(super) struct Quantised {
    pub(super) inner: Box<dyn Classifier>,
    pub(super) levels: u32,
}

impl Quantised {
    fn rounded(&self, images: &Tensor) -> Result<Tensor> {
        let levels = self.levels as f32;
        let values: Vec<f32> =
            host::to_vec(images)?.into_iter().map(|pixel| (pixel * levels).round() / levels).collect();
        Ok(Tensor::from_vec(values, images.dims(), &Device::Cpu)?)
    }
}

impl Classifier for Quantised {
    fn num_classes(&self) -> usize {
        self.inner.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        self.inner.scores(&self.rounded(images)?, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        Ok(Box::new(Flat { dims: images.dims().to_vec(), scores: self.scores(images, columns)? }))
    }
}

struct Flat {
    dims: Vec<usize>,
    scores: Scores,
}

impl Pass for Flat {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, _score_gradient: &Tensor) -> Result<Tensor> {
        Ok(Tensor::zeros(self.dims, candle_core::DType::F32, &Device::Cpu)?)
    }
}

/// The wanted columns of all scores.
pub(super) use crate::battery::transformed::pick;
