//! Changes to training images.

use candle_core::{Device, Tensor};
use robin_core::{Batch, Purpose, Seed, host};

use crate::Result;

/// Pads every image with `padding` zeros on each side and cuts a window of the original size out of it, at
/// a uniformly random position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomCrop {
    /// Zeros added on each side, in pixels; 0 changes nothing.
    pub padding: usize,
}

impl RandomCrop {
    /// `batch` with every image cropped; labels and ids as they were.
    ///
    /// An image's position is drawn from `seed` and its own id, so it depends neither on the batch nor on
    /// the order. `seed` must be the epoch's own (`Purpose::Epoch`): under one seed an example always gets
    /// the same crop.
    ///
    /// # Errors
    /// [`crate::Error::Core`] if the images are not f32 `[n, c, h, w]`.
    pub fn apply(&self, batch: &Batch, seed: Seed) -> Result<Batch> {
        if self.padding == 0 {
            return Ok(batch.clone());
        }
        let (_, length) = host::image_rows("images", &batch.images)?;
        let (_, _, height, width) = batch.images.dims4()?;
        let seed = seed.derive(Purpose::Crop, 0);
        let positions = u32::try_from(2 * self.padding + 1).expect("paddings are a few pixels");
        let values = host::to_vec(&batch.images)?;
        let mut cropped = vec![0.0; values.len()];
        for (row, &id) in batch.ids.iter().enumerate() {
            let mut stream = seed.stream(id);
            let top = stream.below(positions) as usize;
            let left = stream.below(positions) as usize;
            let image = row * length..(row + 1) * length;
            let planes = values[image.clone()].chunks_exact(height * width);
            for (from, to) in planes.zip(cropped[image].chunks_exact_mut(height * width)) {
                self.crop(from, to, width, top, left);
            }
        }
        let images = Tensor::from_vec(cropped, batch.images.dims(), &Device::Cpu)?;
        Ok(Batch::new(images, batch.labels.clone(), batch.ids.clone())?)
    }

    /// Copies the window at (`top`, `left`) of the padded plane `from` into `to`, which holds zeros.
    fn crop(&self, from: &[f32], to: &mut [f32], width: usize, top: usize, left: usize) {
        // Row y of the window is row y + top of the padded plane, y + top - padding of the plane itself.
        let (skip_to, skip_from) = (self.padding.saturating_sub(left), left.saturating_sub(self.padding));
        let count = width.saturating_sub(skip_to + skip_from);
        for (y, to) in to.chunks_exact_mut(width).enumerate() {
            let row = (y + top).checked_sub(self.padding);
            let Some(from) = row.and_then(|row| from.chunks_exact(width).nth(row)) else { continue };
            if count > 0 {
                to[skip_to..skip_to + count].copy_from_slice(&from[skip_from..skip_from + count]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
