//! Average pooling without overlap: window and stride are one number, which divides both sides of the image, so
//! that every value has the same weight. (candle 0.11.1's gradient is wrong on other sides; never use it.)

pub mod reference;
#[cfg(test)]
mod tests;
pub mod vectors;

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

    /// Values of one window.
    pub fn area(&self) -> usize {
        self.window * self.window
    }
}
