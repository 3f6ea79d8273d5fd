//! Gradients on values, on the way back: summed where they meet.

use std::sync::Arc;

use robin_nn::Result;

use crate::kernels::layers::join_gradients;
use crate::kernels::{Buffer, Context, Real};

/// The gradient on each value, as far as it is known.
pub(super) struct Gradients<'a> {
    context: &'a Context,
    known: Vec<Option<Arc<Buffer<Real>>>>,
}

impl<'a> Gradients<'a> {
    pub(super) fn new(context: &'a Context, values: usize) -> Self {
        Self { context, known: vec![None; values] }
    }

    /// Sets the first gradient on `value`.
    pub(super) fn put(&mut self, value: usize, gradient: Buffer<Real>) {
        self.known[value] = Some(Arc::new(gradient));
    }

    /// The whole gradient on `value`, all of whose readers were passed, through its rectifier, if `rectified` is its output.
    pub(super) fn take(
        &mut self,
        value: usize,
        rectified: Option<&Buffer<Real>>,
    ) -> Result<Arc<Buffer<Real>>> {
        let gradient = self.known[value].take().expect("every value is read, or is the output");
        let Some(rectified) = rectified else { return Ok(gradient) };
        self.join(gradient, None, Some(rectified))
    }

    /// Adds a gradient that others keep.
    pub(super) fn share(&mut self, value: usize, gradient: &Arc<Buffer<Real>>) -> Result<()> {
        self.known[value] = Some(match self.known[value].take() {
            None => Arc::clone(gradient),
            Some(known) => self.join(known, Some(gradient), None)?,
        });
        Ok(())
    }

    /// Adds a gradient that nobody else has.
    pub(super) fn add(&mut self, value: usize, gradient: Buffer<Real>) -> Result<()> {
        self.share(value, &Arc::new(gradient))
    }

    /// In place where nobody else has `from`.
    fn join(
        &self,
        from: Arc<Buffer<Real>>,
        other: Option<&Buffer<Real>>,
        rectified: Option<&Buffer<Real>>,
    ) -> Result<Arc<Buffer<Real>>> {
        if Arc::strong_count(&from) == 1 {
            join_gradients(self.context, &from, other, rectified, &from)?;
            return Ok(from);
        }
        let to = self.context.buffer(from.len())?;
        join_gradients(self.context, &from, other, rectified, &to)?;
        Ok(Arc::new(to))
    }
}
