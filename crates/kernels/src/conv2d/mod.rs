//! Two-dimensional convolution (cross-correlation, as in PyTorch), channels last.
//!
//! With zero padding, `y[i, j, o] = b[o] + sum over u, v, c of w[u, v, c, o] * x[i * s + u - p, j * s + v - p, c]`.
//! Weights are kept as `[kernel * kernel * in, out]`, in the order `(u, v, c)` of the sum.

pub mod implicit_gemm;
pub mod reference;
#[cfg(test)]
mod tests;
pub mod weight_gradient;

/// Sizes of one convolution: square kernel, one stride and one padding for both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step between two outputs, in input pixels.
    pub stride: usize,
    /// Zeros added on each of the four sides.
    pub padding: usize,
}

impl Geometry {
    /// Height and width of the output; 0 where the kernel does not fit.
    pub fn output(&self) -> [usize; 2] {
        self.input.map(|side| match (side + 2 * self.padding).checked_sub(self.kernel) {
            Some(room) => room / self.stride + 1,
            None => 0,
        })
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.in_channels
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.positions() * self.out_channels
    }

    /// Output pixels of one image.
    pub fn positions(&self) -> usize {
        let [height, width] = self.output();
        height * width
    }

    /// Products that make one output value.
    pub fn taps(&self) -> usize {
        self.kernel * self.kernel * self.in_channels
    }

    /// PyTorch's weights `[out, in, kernel, kernel]` in this module's order `[kernel, kernel, in, out]`.
    ///
    /// # Panics
    /// If there are not `out * in * kernel * kernel` values.
    pub fn weights_from_torch(&self, torch: &[f32]) -> Vec<f32> {
        assert_eq!(torch.len(), self.taps() * self.out_channels, "weights of {self:?}");
        let mut ours = vec![0.0; torch.len()];
        self.for_each_weight(|at_torch, at_ours| ours[at_ours] = torch[at_torch]);
        ours
    }

    /// The inverse of [`Geometry::weights_from_torch`].
    ///
    /// # Panics
    /// As there.
    pub fn weights_to_torch(&self, ours: &[f32]) -> Vec<f32> {
        assert_eq!(ours.len(), self.taps() * self.out_channels, "weights of {self:?}");
        let mut torch = vec![0.0; ours.len()];
        self.for_each_weight(|at_torch, at_ours| torch[at_torch] = ours[at_ours]);
        torch
    }

    fn for_each_weight(&self, mut visit: impl FnMut(usize, usize)) {
        let (area, channels) = (self.kernel * self.kernel, self.in_channels);
        for out in 0..self.out_channels {
            for channel in 0..channels {
                for tap in 0..area {
                    let at_torch = (out * channels + channel) * area + tap;
                    visit(at_torch, (tap * channels + channel) * self.out_channels + out);
                }
            }
        }
    }

    /// Calls `visit(position, tap row start, input start, length)` for every run of input values that one
    /// output position reads: `length` values of the input image from `input start` meet the taps from `tap
    /// row start`. Padding is left out.
    fn for_each_run(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let ([height, width], [out_height, out_width]) = (self.input, self.output());
        let channels = self.in_channels;
        for i in 0..out_height {
            for j in 0..out_width {
                let left = j * self.stride;
                // Kernel columns whose input column exists.
                let first = self.padding.saturating_sub(left);
                let end = self.kernel.min((width + self.padding).saturating_sub(left));
                if first >= end {
                    continue;
                }
                for u in 0..self.kernel {
                    let Some(row) = (i * self.stride + u).checked_sub(self.padding).filter(|&r| r < height)
                    else {
                        continue;
                    };
                    let column = left + first - self.padding;
                    visit(
                        i * out_width + j,
                        (u * self.kernel + first) * channels,
                        (row * width + column) * channels,
                        (end - first) * channels,
                    );
                }
            }
        }
    }
}
