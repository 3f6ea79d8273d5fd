//! Max pooling over square windows, which may overlap and reach over the border. Rows and columns that do not fill a
//! window are dropped (as in PyTorch with `ceil_mode = False`); padding is smaller than any value.
//!
//! Convention at ties, PyTorch's: the whole gradient goes to the first largest value of the window in row
//! order. (candle 0.11.1 divides the gradient by the window's area and gives it to every tie; never use it.)

pub mod direct;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::sizes::product;

/// Sizes of one pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Side of the window; at most 16.
    pub window: usize,
    /// Step between two windows.
    pub stride: usize,
    /// Rows and columns that windows reach over each border; at most half a window, so that no window is empty.
    pub padding: usize,
}

impl Geometry {
    /// Windows side by side: each value is in one of them, or at the far border in none.
    pub fn tiles(input: [usize; 2], channels: usize, window: usize) -> Self {
        Self { input, channels, window, stride: window, padding: 0 }
    }

    /// Whether windows lie side by side, as those of [`Geometry::tiles`].
    pub fn is_tiling(&self) -> bool {
        self.stride == self.window && self.padding == 0
    }

    /// Height and width of the output; 0 where no window fits.
    ///
    /// # Panics
    /// If the window or the stride is 0, or a size is more than a buffer can hold, as all that follows.
    pub fn output(&self) -> [usize; 2] {
        assert!(self.window > 0 && self.stride > 0, "window and stride are at least 1: {self:?}");
        let padding = self.padding.saturating_mul(2);
        self.input.map(|side| match side.saturating_add(padding).checked_sub(self.window) {
            Some(room) => room / self.stride + 1,
            None => 0,
        })
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.values(&[self.input[0], self.input[1], self.channels])
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output();
        self.values(&[height, width, self.channels])
    }

    /// Values of one window.
    pub fn area(&self) -> usize {
        self.values(&[self.window, self.window])
    }

    fn values(&self, factors: &[usize]) -> usize {
        product(factors).unwrap_or_else(|| panic!("{self:?} has a size that no buffer can hold"))
    }

    /// Rows (or columns) of window number `at` that lie in an image of `side` of them.
    pub(crate) fn inside(&self, at: usize, side: usize) -> std::ops::Range<usize> {
        let start = at * self.stride;
        self.padding.saturating_sub(start)..self.window.min((side + self.padding).saturating_sub(start))
    }

    /// Windows that have row (or column) `at` of the image, of `count` there are.
    pub(crate) fn around(&self, at: usize, count: usize) -> std::ops::Range<usize> {
        let at = at + self.padding;
        (at + 1).saturating_sub(self.window).div_ceil(self.stride)..count.min(at / self.stride + 1)
    }

    /// Index in the input image (channels last) of the value at `place` (row order) of the window behind output `at`;
    /// none beyond the border.
    pub fn source(&self, at: usize, place: usize) -> Option<usize> {
        let (position, channel) = (at / self.channels, at % self.channels);
        let ([height, width], columns) = (self.input, self.output()[1]);
        let row = (position / columns * self.stride + place / self.window).checked_sub(self.padding)?;
        let column = (position % columns * self.stride + place % self.window).checked_sub(self.padding)?;
        (row < height && column < width).then_some((row * width + column) * self.channels + channel)
    }
}
