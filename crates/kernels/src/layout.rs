//! How images lie in a buffer between two layers.

use crate::vector::LANES;

/// Images `[height + 2 halo, width + 2 halo, channels]`, one after the other, the inner part holding the values and
/// the halo zeros that nobody ever writes: a convolution reads its padding there, so that nothing is copied to
/// be padded. Channels are a multiple of [`LANES`] (the rest zeros), except in the images that a network begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Rows of an image.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
    /// Zero pixels on each of the four sides.
    pub halo: usize,
}

impl Layout {
    /// Values from one pixel to the one below.
    pub fn row(&self) -> usize {
        (self.width + 2 * self.halo) * self.channels
    }

    /// Values from one image to the next, whole vectors.
    pub fn image(&self) -> usize {
        ((self.height + 2 * self.halo) * self.row()).next_multiple_of(LANES)
    }

    /// Place of a pixel in its image.
    pub fn pixel(&self, row: usize, column: usize) -> usize {
        (row + self.halo) * self.row() + (column + self.halo) * self.channels
    }

    /// Pixels of an image, without the halo.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The same with channels filled up to whole vectors.
    pub fn whole_vectors(self) -> Self {
        Self { channels: self.channels.next_multiple_of(LANES), ..self }
    }

    /// Writes channels-last pixels `[height, width, given]` (`given <= channels`) into one image of a buffer.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn fill(&self, pixels: &[f32], given: usize, image: &mut [f32]) {
        assert_eq!(pixels.len(), self.pixels() * given, "pixels of {self:?}");
        for (at, pixel) in pixels.chunks_exact(given).enumerate() {
            let to = self.pixel(at / self.width, at % self.width);
            image[to..to + given].copy_from_slice(pixel);
        }
    }

    /// The inverse of [`Layout::fill`].
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn read(&self, image: &[f32], given: usize, pixels: &mut [f32]) {
        assert_eq!(pixels.len(), self.pixels() * given, "pixels of {self:?}");
        for (at, pixel) in pixels.chunks_exact_mut(given).enumerate() {
            let from = self.pixel(at / self.width, at % self.width);
            pixel.copy_from_slice(&image[from..from + given]);
        }
    }
}
