//! Changes to training images.

use candle_core::{Device, Tensor};
use robin_core::{Batch, Purpose, Seed, host};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Pads every image with `crop_padding` pixels on each side, cuts a window of the original size out of it at a
/// uniformly random position, then perhaps mirrors it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Augmentation {
    /// Pixels added on each side; 0 means no crop.
    pub crop_padding: usize,
    /// What these pixels are.
    pub padding: Padding,
    /// Whether images are mirrored.
    pub flip: Flip,
}

/// What stands outside an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// Black, as in the paper.
    #[default]
    Zeros,
    /// The image mirrored at the centre of its outermost pixels, which are not repeated: PyTorch's
    /// `F.pad(mode="reflect")`.
    Reflect,
}

/// How images are mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flip {
    /// Not at all, as in the paper.
    #[default]
    None,
    /// Left and right are exchanged with probability 1/2.
    Horizontal,
}

impl Augmentation {
    /// Images as they are.
    pub const NONE: Self = Self { crop_padding: 0, padding: Padding::Zeros, flip: Flip::None };

    /// Refuses what images of `height` x `width` cannot be padded with.
    ///
    /// # Errors
    /// [`Error::Padding`] if reflected pixels would lie outside the image itself, or if there is more black than image on a
    /// side, where most windows would show nothing.
    pub fn validate(&self, height: usize, width: usize) -> Result<()> {
        let padding = self.crop_padding;
        let side = height.min(width);
        let most = match self.padding {
            Padding::Zeros => side,
            Padding::Reflect => side.saturating_sub(1),
        };
        if padding > most { Err(Error::Padding { padding, height, width, most }) } else { Ok(()) }
    }

    /// `batch` with every image changed; labels and ids as they were.
    ///
    /// Where an image is cut and whether it is mirrored are drawn from `seed` and its own id, so they depend
    /// neither on the batch nor on the order. `seed` must be the epoch's own (`Purpose::Epoch`): under one seed
    /// an example always looks the same.
    ///
    /// # Errors
    /// [`Error::Core`] if the images are not f32 `[n, c, h, w]`, [`Error::Padding`] as
    /// [`Augmentation::validate`].
    pub fn apply(&self, batch: &Batch, seed: Seed) -> Result<Batch> {
        if self.crop_padding == 0 && self.flip == Flip::None {
            return Ok(batch.clone());
        }
        let (_, length) = host::image_rows("images", &batch.images)?;
        let (_, _, height, width) = batch.images.dims4()?;
        self.validate(height, width)?;
        let values = host::to_vec(&batch.images)?;
        let mut changed = vec![0.0; values.len()];
        for (row, &id) in batch.ids.iter().enumerate() {
            let window = self.draw(seed, id);
            let rows: Vec<_> = (0..height).map(|y| self.source(y + window.top, height)).collect();
            let mut columns: Vec<_> = (0..width).map(|x| self.source(x + window.left, width)).collect();
            if window.mirrored {
                columns.reverse();
            }
            let image = row * length..(row + 1) * length;
            let planes = values[image.clone()].chunks_exact(height * width);
            for (from, to) in planes.zip(changed[image].chunks_exact_mut(height * width)) {
                copy(from, to, &rows, &columns);
            }
        }
        let images = Tensor::from_vec(changed, batch.images.dims(), &Device::Cpu)?;
        Ok(Batch::new(images, batch.labels.clone(), batch.ids.clone())?)
    }

    fn draw(&self, seed: Seed, id: robin_core::ExampleId) -> Window {
        let (mut top, mut left) = (0, 0);
        if self.crop_padding > 0 {
            let positions = u32::try_from(2 * self.crop_padding + 1).expect("paddings are a few pixels");
            let mut stream = seed.derive(Purpose::Crop, 0).stream(id);
            top = stream.below(positions) as usize;
            left = stream.below(positions) as usize;
        }
        let mirrored = match self.flip {
            Flip::None => false,
            Flip::Horizontal => seed.derive(Purpose::Flip, 0).stream(id).below(2) == 1,
        };
        Window { top, left, mirrored }
    }

    /// Where position `at` of the padded side lies in the image's own side of `size`; `None` is black.
    fn source(&self, at: usize, size: usize) -> Option<usize> {
        let before = self.crop_padding;
        match at.checked_sub(before) {
            Some(inside) if inside < size => Some(inside),
            outside => match (self.padding, outside) {
                (Padding::Zeros, _) => None,
                (Padding::Reflect, None) => Some(before - at),
                (Padding::Reflect, Some(beyond)) => Some(2 * (size - 1) - beyond),
            },
        }
    }
}

/// The part of a padded image that is kept.
struct Window {
    top: usize,
    left: usize,
    mirrored: bool,
}

/// Fills the plane `to`, which holds zeros, from the `rows` and `columns` of `from`.
fn copy(from: &[f32], to: &mut [f32], rows: &[Option<usize>], columns: &[Option<usize>]) {
    let width = columns.len();
    for (to, row) in to.chunks_exact_mut(width).zip(rows) {
        let Some(row) = row else { continue };
        let from = &from[row * width..(row + 1) * width];
        for (to, column) in to.iter_mut().zip(columns) {
            if let Some(column) = column {
                *to = from[*column];
            }
        }
    }
}

#[cfg(test)]
mod tests;
