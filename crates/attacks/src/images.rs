//! A batch of images as plain numbers, for work on one image at a time.

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use robin_core::occupancy::piece;
use robin_core::{Error, ExampleId, Result, host};

/// Images `[n, c, h, w]` on the host.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    values: Vec<f32>,
    dims: Vec<usize>,
    /// Values per image; 1 if there are none, so that rows can be cut.
    length: usize,
}

impl Images {
    pub(crate) fn new(images: &Tensor) -> Result<Self> {
        let (_, length) = host::image_rows("images", images)?;
        Ok(Self { values: host::to_vec(images)?, dims: images.dims().to_vec(), length: length.max(1) })
    }

    /// A gradient on `self`: of its shape, and finite.
    pub(crate) fn gradient(&self, gradient: &Tensor) -> Result<Vec<f32>> {
        if gradient.dims() != self.dims {
            return Err(Error::Shape {
                what: "input gradient",
                found: gradient.dims().to_vec(),
                expected: format!("{:?}", self.dims),
            });
        }
        let values = host::to_vec(gradient)?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                Err(Error::NotFinite { what: "input gradient", example: at / self.length, value: values[at] })
            }
            None => Ok(values),
        }
    }

    pub(crate) fn tensor(&self) -> Result<Tensor> {
        Ok(Tensor::from_slice(&self.values, self.dims.as_slice(), &Device::Cpu)?)
    }

    pub(crate) fn into_tensor(self) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.values, self.dims, &Device::Cpu)?)
    }

    /// Row-major.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Other images of the same shape.
    pub(crate) fn with_values(&self, values: Vec<f32>) -> Result<Self> {
        let found = values.len();
        if found != self.values.len() {
            let expected = format!("{} values, those of {:?}", self.values.len(), self.dims);
            return Err(Error::Shape { what: "images", found: vec![found], expected });
        }
        Ok(Self { values, dims: self.dims.clone(), length: self.length })
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.length..(row + 1) * self.length]
    }

    pub(crate) fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.length..(row + 1) * self.length]
    }

    /// `(this image, the same row of clean, the same row of gradient)` for every image, side by side.
    pub(crate) fn rows_with<'a>(
        &'a mut self,
        clean: &'a Images,
        gradient: &'a [f32],
    ) -> impl IndexedParallelIterator<Item = (&'a mut [f32], &'a [f32], &'a [f32])> {
        let length = self.length;
        self.values
            .par_chunks_exact_mut(length)
            .zip(clean.values.par_chunks_exact(length))
            .zip(gradient.par_chunks_exact(length))
            .with_min_len(piece())
            .map(|((image, clean), gradient)| (image, clean, gradient))
    }

    /// Calls `draw(id, clean, image)` for every image, which holds its clean values before, side by side.
    pub(crate) fn redraw(&mut self, ids: &[ExampleId], draw: impl Fn(ExampleId, &[f32], &mut [f32]) + Sync) {
        let clean = self.values.clone();
        let images = self.values.par_chunks_exact_mut(self.length).zip(clean.par_chunks_exact(self.length));
        images.zip(ids).with_min_len(piece()).for_each(|((image, clean), &id)| draw(id, clean, image));
    }

    /// The images at `rows`, in that order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let mut dims = self.dims.clone();
        dims[0] = rows.len();
        let values = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Self { values, dims, length: self.length }
    }
}
