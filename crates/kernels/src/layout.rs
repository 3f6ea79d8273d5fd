//! How images lie in a buffer between two layers.

use std::ops::Deref;

use crate::sizes::{MOST, product};
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
    ///
    /// # Panics
    /// If an image has more values than a buffer can hold, as all that follows.
    pub fn row(&self) -> usize {
        self.places(1).row
    }

    /// Values from one image to the next: an odd number of vectors, so that the same pixel of many images does not meet
    /// in one set of a cache.
    pub fn image(&self) -> usize {
        self.places(1).image
    }

    /// Place of a pixel in its image.
    ///
    /// # Panics
    /// If there is no such pixel.
    pub fn pixel(&self, row: usize, column: usize) -> usize {
        assert!(row < self.height && column < self.width, "pixel {row}, {column} of {self:?}");
        self.places(1).pixel(row, column)
    }

    /// Pixels of an image, without the halo.
    pub fn pixels(&self) -> usize {
        self.places(1).pixels()
    }

    /// Where the pixels of `images` images lie.
    ///
    /// # Panics
    /// If a buffer cannot hold so many.
    pub(crate) fn places(&self, images: usize) -> Places {
        self.checked(images).unwrap_or_else(|| {
            panic!("{images} images of {self:?} are more than the {MOST} values of a buffer")
        })
    }

    fn checked(&self, images: usize) -> Option<Places> {
        let side = |length: usize| length.checked_add(self.halo.checked_mul(2)?);
        let (rows, columns) = (side(self.height)?, side(self.width)?);
        let row = product(&[columns, self.channels])?;
        // Pixels are counted where nobody asks for their values.
        product(&[rows, columns])?;
        let image = (product(&[rows, row])?.div_ceil(LANES) | 1) * LANES;
        let len = product(&[images, image])?;
        Some(Places { layout: *self, row, image, len })
    }

    /// The same with channels filled up to whole vectors.
    ///
    /// # Panics
    /// If that is no number.
    pub fn whole_vectors(self) -> Self {
        let channels = self.channels.checked_next_multiple_of(LANES);
        Self { channels: channels.unwrap_or_else(|| panic!("whole vectors of {self:?}")), ..self }
    }

    /// Writes channels-last pixels `[height, width, given]` (`given` from 1 to `channels`) into one image of a buffer.
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn fill(&self, pixels: &[f32], given: usize, image: &mut [f32]) {
        let places = self.check_image(pixels.len(), given, image.len());
        for (at, pixel) in pixels.chunks_exact(given).enumerate() {
            let to = places.pixel(at / self.width, at % self.width);
            image[to..to + given].copy_from_slice(pixel);
        }
    }

    /// The inverse of [`Layout::fill`].
    ///
    /// # Panics
    /// If the slices do not fit.
    pub fn read(&self, image: &[f32], given: usize, pixels: &mut [f32]) {
        let places = self.check_image(pixels.len(), given, image.len());
        for (at, pixel) in pixels.chunks_exact_mut(given).enumerate() {
            let from = places.pixel(at / self.width, at % self.width);
            pixel.copy_from_slice(&image[from..from + given]);
        }
    }

    fn check_image(&self, pixels: usize, given: usize, image: usize) -> Places {
        let places = self.places(1);
        assert!(
            (1..=self.channels).contains(&given) && pixels == places.pixels() * given,
            "{pixels} values for pixels of {given} channels of {self:?}"
        );
        assert!(image >= places.len(), "{image} values for an image of {self:?}");
        places
    }
}

/// Panics unless images of `pooled` are those of `from` after 2x2 pooling, whose odd row or column is dropped.
pub(crate) fn assert_halves(from: &Layout, pooled: &Layout) {
    let halves = Layout { height: from.height / 2, width: from.width / 2, halo: pooled.halo, ..*from };
    assert!(halves == *pooled, "{pooled:?} is not {from:?} after 2x2 pooling");
}

/// Where the pixels of some images of a layout lie. Only [`Layout::places`] makes one, which multiplies checked: kernels
/// add up places as they like, and those of pixels that exist lie within [`Places::len`] values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    layout: Layout,
    row: usize,
    image: usize,
    len: usize,
}

impl Places {
    /// Values of all images.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// As [`Layout::row`].
    #[inline(always)]
    pub(crate) fn row(&self) -> usize {
        self.row
    }

    /// As [`Layout::image`].
    #[inline(always)]
    pub(crate) fn image(&self) -> usize {
        self.image
    }

    /// As [`Layout::pixel`], of pixels that exist or not.
    #[inline(always)]
    pub(crate) fn pixel(&self, row: usize, column: usize) -> usize {
        (row + self.layout.halo) * self.row + (column + self.layout.halo) * self.layout.channels
    }

    /// As [`Layout::pixels`].
    #[inline(always)]
    pub(crate) fn pixels(&self) -> usize {
        self.layout.height * self.layout.width
    }

    /// Panics unless pixels are whole vectors, and at least one.
    pub(crate) fn assert_whole_vectors(&self) {
        let Layout { channels, .. } = self.layout;
        assert!(channels > 0 && channels.is_multiple_of(LANES), "no whole vectors: {:?}", self.layout);
    }
}

impl Deref for Places {
    type Target = Layout;

    #[inline(always)]
    fn deref(&self) -> &Layout {
        &self.layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_go_in_and_come_out_and_nothing_else_is_touched() {
        let layout = Layout { height: 2, width: 3, channels: 5, halo: 2 };
        let pixels: Vec<f32> = (1..=24).map(|i| i as f32).collect();
        let mut image = vec![9.0; layout.image()];
        layout.fill(&pixels, 4, &mut image);
        let mut found = vec![0.0; 24];
        layout.read(&image, 4, &mut found);
        assert_eq!(found, pixels);
        // Neither the halo nor the fifth channel, which was not given, is written.
        let untouched = image.iter().filter(|value| **value == 9.0).count();
        assert_eq!(untouched, image.len() - 23);
    }
}
