//! A classifier behind a function of its scores.

use candle_core::{Device, Tensor};
use robin_core::{Classifier, Columns, Pass, Result, Scores, host};

/// A differentiable function of one example's scores.
pub(crate) trait RowMap: Send + Sync {
    /// The new scores.
    fn map(&self, scores: &[f32]) -> Vec<f32>;

    /// The gradient on the scores for the gradient `upstream` on the new ones.
    fn pull_back(&self, scores: &[f32], upstream: &[f32]) -> Vec<f32>;
}

/// `inner` behind `map`; decides as `inner` does, so that only the attack sees the function. Computes all
/// columns.
pub(crate) struct Transformed<'a, M> {
    pub(crate) inner: &'a dyn Classifier,
    pub(crate) map: M,
    pub(crate) decides: Decides,
}

/// Whose decision counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decides {
    /// The classifier's without the function.
    Inner,
    /// The arg max of the new scores.
    Outer,
}

impl<M: RowMap> Transformed<'_, M> {
    fn mapped(&self, scores: &Scores) -> Result<Scores> {
        let values = scores.to_vec()?;
        let mapped = values.chunks_exact(scores.columns()).flat_map(|row| self.map.map(row)).collect();
        Scores::from_vec(mapped, scores.len(), scores.columns())
    }
}

/// The wanted columns of all scores.
pub(crate) fn pick(all: &Scores, columns: &Columns) -> Result<Scores> {
    let (n, k) = (all.len(), all.columns());
    columns.validate(k)?;
    Scores::from_vec(columns.gather(k, all.to_vec()?), n, columns.width(k))
}

impl<M: RowMap> Classifier for Transformed<'_, M> {
    fn num_classes(&self) -> usize {
        self.inner.num_classes()
    }

    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores> {
        pick(&self.mapped(&self.inner.scores(images, &Columns::All)?)?, columns)
    }

    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let pass = self.inner.forward(images, &Columns::All)?;
        let scores = pick(&self.mapped(pass.scores())?, columns)?;
        Ok(Box::new(TransformedPass { map: &self.map, pass, scores, columns: columns.clone() }))
    }

    fn predict(&self, images: &Tensor) -> Result<Vec<u32>> {
        match self.decides {
            Decides::Inner => self.inner.predict(images),
            Decides::Outer => self.decide(&self.scores(images, &Columns::All)?),
        }
    }

    fn networks(&self, _columns: &Columns) -> u32 {
        self.inner.networks(&Columns::All)
    }
}

struct TransformedPass<'a, M> {
    map: &'a M,
    pass: Box<dyn Pass + 'a>,
    scores: Scores,
    columns: Columns,
}

impl<M: RowMap> Pass for TransformedPass<'_, M> {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        let (n, k) = (self.pass.scores().len(), self.pass.scores().columns());
        let upstream = self.columns.scatter(k, &host::to_vec(score_gradient)?);
        let scores = self.pass.scores().to_vec()?;
        let rows = scores.chunks_exact(k).zip(upstream.chunks_exact(k));
        let gradient: Vec<f32> =
            rows.flat_map(|(scores, upstream)| self.map.pull_back(scores, upstream)).collect();
        self.pass.input_gradient(&Tensor::from_vec(gradient, (n, k), &Device::Cpu)?)
    }
}

/// `factor * s + shift`, for each column its own.
pub(crate) struct Affine {
    pub(crate) factors: Vec<f32>,
    pub(crate) shifts: Vec<f32>,
}

impl RowMap for Affine {
    fn map(&self, scores: &[f32]) -> Vec<f32> {
        let numbers = scores.iter().zip(&self.factors).zip(&self.shifts);
        numbers.map(|((score, factor), shift)| score * factor + shift).collect()
    }

    fn pull_back(&self, _scores: &[f32], upstream: &[f32]) -> Vec<f32> {
        upstream.iter().zip(&self.factors).map(|(upstream, factor)| upstream * factor).collect()
    }
}

/// Softmax, in f32 as a network would have it.
pub(crate) struct Softmax;

impl RowMap for Softmax {
    fn map(&self, scores: &[f32]) -> Vec<f32> {
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
        let sum: f32 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    fn pull_back(&self, scores: &[f32], upstream: &[f32]) -> Vec<f32> {
        let p = self.map(scores);
        let mean: f32 = p.iter().zip(upstream).map(|(p, g)| p * g).sum();
        p.iter().zip(upstream).map(|(p, g)| p * (g - mean)).collect()
    }
}

/// `sigmoid(sharpness * s)` of each score, in f32.
pub(crate) struct Sigmoid {
    pub(crate) sharpness: f32,
}

impl RowMap for Sigmoid {
    fn map(&self, scores: &[f32]) -> Vec<f32> {
        scores.iter().map(|score| 1.0 / (1.0 + (-self.sharpness * score).exp())).collect()
    }

    fn pull_back(&self, scores: &[f32], upstream: &[f32]) -> Vec<f32> {
        let rows = self.map(scores).into_iter().zip(upstream);
        // As f32 has it: p (1 - p) is exactly 0 where p rounds to 1.
        rows.map(|(p, g)| g * self.sharpness * p * (1.0 - p)).collect()
    }
}
