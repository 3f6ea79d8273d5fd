//! Max pooling without overlap: window and stride are one number, rows and columns that do not fill a window
//! are dropped (as in PyTorch with `ceil_mode = False`).
//!
//! Convention at ties, PyTorch's: the whole gradient goes to the first largest value of the window in row
//! order. (candle 0.11.1 divides the gradient by the window's area and gives it to every tie; never use it.)

pub mod direct;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::layout::Layout;
use crate::vector::LANES;

/// Sizes of one pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Side of the window, and stride; at most 16, so that a place in the window fits a byte.
    pub window: usize,
}

impl Geometry {
    /// Height and width of the output.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| side / self.window)
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        let [height, width] = self.output();
        height * width * self.channels
    }

    /// Panics if the layouts of the input and the output do not fit.
    fn check(&self, input: &Layout, output: &Layout) {
        assert!((1..=16).contains(&self.window) && self.channels.is_multiple_of(LANES), "{self:?}");
        assert!(
            [input.height, input.width] == self.input && input.channels == self.channels,
            "{input:?} for {self:?}"
        );
        let sides = [output.height, output.width];
        assert!(sides == self.output() && output.channels == self.channels, "{output:?} for {self:?}");
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
