//! Batch normalisation (Ioffe and Szegedy 2015), for each channel over all pixels of all images of a batch.
//!
//! Forward, with the mean `m` and the biased variance `v` (over `n`) of the batch: `yhat = (y - m) / sqrt(v + eps)`,
//! `z = gamma * yhat + beta`; in one multiply-add, `z = a * y + b` with `a = gamma / sqrt(v + eps)` and `b = beta - a * m`.
//!
//! Backward, for the gradient `g` on `z`: `dbeta = sum of g`, `dgamma = sum of g * yhat`, and
//! `dy = a * (g - mean of g - yhat * mean of g * yhat)`.
//!
//! Conventions, PyTorch's: `eps` = 1e-5 within the root; in evaluation the running statistics take the batch's place,
//! which move by `momentum` = 0.1 towards the batch's mean and its unbiased variance (over `n - 1`).
//!
//! Some images at a time. Forward: [`moments`], [`Moments::join`] in the order of the images, [`Statistics::of`],
//! [`normalize`]. Backward: [`reduce`], [`Sums::join`], [`Slopes::of`], [`input_gradient`]. Results are the same for any
//! number of threads if batches are cut into the same groups of images and these are joined in order. Sums over the
//! pixels of an image are f32 (row by row, a row from zero), those over images f64.

mod backward;
mod forward;
mod moments;
pub mod reference;
mod statistics;
#[cfg(test)]
mod tests;

pub use backward::{input_gradient, reduce};
pub use forward::{normalize, normalize_pooled};
pub use moments::moments;
pub use statistics::{Moments, Slopes, Statistics, Sums};

use crate::epilogue::check_values;
use crate::layout::Places;

/// What is added to the variance.
pub const EPS: f64 = 1e-5;

/// How far running statistics move towards a batch's.
pub const MOMENTUM: f64 = 0.1;

/// Vectors of channels that are summed together: some cache lines of each pixel.
const TOGETHER: usize = 4;

fn check(y: &[f32], layout: &Places) {
    layout.assert_whole_vectors();
    check_values(y, layout);
}
