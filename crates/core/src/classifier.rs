//! A trained classifier as an attacker meets it.

use candle_core::{Tensor, Var};

use crate::{Columns, Error, OnDevicePgd, Result, Scores};

/// A trained classifier in evaluation mode, read-only.
///
/// Implementations promise **batch independence**: the scores and gradients of an image are the same, bit for
/// bit, whatever stands beside it. To use a network written with candle layers, implement
/// [`Classifier::num_classes`] and [`Classifier::scores`] only; the backward pass is then candle's autograd.
pub trait Classifier: Send + Sync {
    /// Number of classes, which is the number of score columns.
    fn num_classes(&self) -> usize;

    /// Scores `[n, columns]` of `images` `[n, c, h, w]` in `[0, 1]`, only the columns asked for.
    ///
    /// # Errors
    /// If the images or columns do not fit the classifier.
    fn scores(&self, images: &Tensor, columns: &Columns) -> Result<Scores>;

    /// The same scores, kept together with what the backward pass needs.
    ///
    /// # Errors
    /// As [`Classifier::scores`].
    fn forward<'a>(&'a self, images: &Tensor, columns: &Columns) -> Result<Box<dyn Pass + 'a>> {
        let images = Var::from_tensor(images)?;
        let scores = self.scores(images.as_tensor(), columns)?;
        Ok(Box::new(AutogradPass { images, scores }))
    }

    /// The predicted class of each example, from all score columns: arg max. A classifier whose decision
    /// cannot be read off its scores refuses, and overrides [`Classifier::predict`].
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a score is not finite.
    fn decide(&self, scores: &Scores) -> Result<Vec<u32>> {
        scores.arg_max()
    }

    /// The predicted class of each of `images` `[n, c, h, w]`; what judges believe. [`Classifier::decide`] on
    /// all scores, unless the decision needs more than they say (votes, routing).
    ///
    /// # Errors
    /// As [`Classifier::scores`] and [`Classifier::decide`].
    fn predict(&self, images: &Tensor) -> Result<Vec<u32>> {
        self.decide(&self.scores(images, &Columns::All)?)
    }

    /// How many networks one example's `columns` cost: 1, or the arms involved.
    fn networks(&self, _columns: &Columns) -> u32 {
        1
    }

    /// What makes PGD's steps where the networks are, if something does.
    fn on_device_pgd(&self) -> Option<&dyn OnDevicePgd> {
        None
    }
}

/// One forward pass that can be pulled back to the images, once.
pub trait Pass: Send {
    /// Scores `[n, columns]`.
    fn scores(&self) -> &Scores;

    /// Gradient on the images `[n, c, h, w]` for the gradient `[n, columns]` on the scores.
    ///
    /// # Errors
    /// [`Error::GraphCut`] if some operation has no backward pass.
    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor>;
}

struct AutogradPass {
    images: Var,
    scores: Scores,
}

impl Pass for AutogradPass {
    fn scores(&self) -> &Scores {
        &self.scores
    }

    fn input_gradient(self: Box<Self>, score_gradient: &Tensor) -> Result<Tensor> {
        // Summed, never averaged: an example's gradient must not depend on its neighbours.
        // The network may be on another device than the attack's numbers.
        let given = score_gradient.to_device(self.scores.tensor().device())?;
        let weighted = (self.scores.tensor() * given)?.sum_all()?;
        // Without its graph, which would keep every step of an attack in memory.
        Ok(weighted.backward()?.remove(&self.images).ok_or(Error::GraphCut)?.detach())
    }
}
