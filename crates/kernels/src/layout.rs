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

    /// Values from one image to the next: an odd number of vectors, so that the same pixel of many images does not meet
    /// in one set of a cache.
    pub fn image(&self) -> usize {
        let vectors = ((self.height + 2 * self.halo) * self.row()).div_ceil(LANES);
        (vectors | 1) * LANES
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

    /// Makes the halo of one image zero again.
    ///
    /// # Panics
    /// If the slice is shorter than an image.
    pub fn clear_halo(&self, image: &mut [f32]) {
        let (row, side) = (self.row(), self.halo * self.channels);
        image[..self.halo * row].fill(0.0);
        for inner in image[self.halo * row..][..self.height * row].chunks_exact_mut(row) {
            inner[..side].fill(0.0);
            inner[row - side..].fill(0.0);
        }
        image[(self.halo + self.height) * row..self.image()].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_in_and_come_out_and_the_halo_is_what_is_left() {
        let layout = Layout { height: 2, width: 3, channels: 5, halo: 2 };
        let pixels: Vec<f32> = (1..=24).map(|i| i as f32).collect();
        let mut image = vec![9.0; layout.image()];
        layout.fill(&pixels, 4, &mut image);
        layout.clear_halo(&mut image);
        let mut found = vec![0.0; 24];
        layout.read(&image, 4, &mut found);
        assert_eq!(found, pixels);
        // The fifth channel of six pixels was not given.
        let nines = image.iter().filter(|value| **value == 9.0).count();
        assert_eq!((nines, image.iter().filter(|value| **value == 0.0).count()), (7, image.len() - 30));
    }
}
