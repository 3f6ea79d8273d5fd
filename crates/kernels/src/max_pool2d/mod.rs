//! Max pooling without overlap: window and stride are one number, rows and columns that do not fill a window
//! are dropped (as in PyTorch with `ceil_mode = False`).
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
    /// Side of the window, and stride; at most 16.
    pub window: usize,
}

impl Geometry {
    /// Height and width of the output.
    ///
    /// # Panics
    /// If the window is 0, or a size is more than a buffer can hold, as all that follows.
    pub fn output(&self) -> [usize; 2] {
        assert!(self.window > 0, "a window is at least 1: {self:?}");
        self.input.map(|side| side / self.window)
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

    /// From a window's first value to the one at `place` (row order) of the same channel.
    fn offset(&self, place: usize) -> usize {
        (place / self.window * self.input[1] + place % self.window) * self.channels
    }

    /// Index in the input image of the value at `place` (row order) of the window behind output `at`.
    fn source(&self, at: usize, place: usize) -> usize {
        let (position, channel) = (at / self.channels, at % self.channels);
        let width = self.output()[1];
        let first = (position / width * self.input[1] + position % width) * self.window;
        first * self.channels + channel + self.offset(place)
    }
}
