//! Average pooling without overlap: window and stride are one number, which divides both sides of the image, so
//! that every value has the same weight. (candle 0.11.1's gradient is wrong on other sides; never use it.)

pub mod direct;
pub mod reference;
#[cfg(test)]
mod tests;

use crate::sizes::product;

/// Sizes of one pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the input, multiples of the window.
    pub input: [usize; 2],
    /// Channels.
    pub channels: usize,
    /// Side of the window, and stride.
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
}

/// Panics if windows leave a rest of the input.
fn check(g: &Geometry) {
    let whole = g.window > 0 && g.input.iter().all(|side| side.is_multiple_of(g.window));
    assert!(whole, "windows leave a rest, which has no mean: {g:?}");
}
