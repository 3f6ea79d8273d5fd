//! Two-dimensional convolution (cross-correlation, as in PyTorch), channels last.
//!
//! With zero padding, `y[i, j, o] = b[o] + sum over u, v, c of w[u, v, c, o] * x[i * s + u - p, j * s + v - p, c]`.
//! Weights are kept as `[kernel * kernel * in, out]`, in the order `(u, v, c)` of the sum.
//!
//! Which implementation serves which layer: [`winograd`] stride 1 with kernels of 3 and 5, [`implicit_gemm`] everything
//! else, [`few_channels`] pooling and the gradient at a network's images, [`sparse`] a gradient below a global max pooling. All
//! write through [`crate::finish`].

pub mod few_channels;
pub mod implicit_gemm;
pub mod packed;
pub mod reference;
pub mod sparse;
#[cfg(test)]
mod tests;
pub mod weight_gradient;
pub mod winograd;

use crate::aligned::Aligned;

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
}

/// Sizes and weights (`[kernel, kernel, out, in]`) of the convolution that pulls a gradient back through one of stride 1:
/// the kernel turned by 180 degrees, its channels exchanged.
///
/// # Panics
/// If the stride is not 1, the padding not less than the kernel, or the weights do not fit.
pub fn turn(g: &Geometry, weights: &[f32]) -> (Geometry, Aligned) {
    assert!(g.stride == 1 && g.padding < g.kernel, "{g:?}");
    assert_eq!(weights.len(), g.taps() * g.out_channels, "weights of {g:?}");
    let turned = Geometry {
        input: g.output(),
        in_channels: g.out_channels,
        out_channels: g.in_channels,
        padding: g.kernel - 1 - g.padding,
        ..*g
    };
    let (area, plane) = (g.kernel * g.kernel, g.in_channels * g.out_channels);
    let mut values = Aligned::zeros(weights.len());
    for (tap, from) in weights.chunks_exact(plane).enumerate() {
        transpose(from, g.in_channels, g.out_channels, &mut values[(area - 1 - tap) * plane..][..plane]);
    }
    (turned, values)
}

/// `to [columns, rows]` = the transpose of `from [rows, columns]`, in squares that stay in the cache.
pub(crate) fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    const SIDE: usize = 16;
    for top in (0..rows).step_by(SIDE) {
        for left in (0..columns).step_by(SIDE) {
            for row in top..rows.min(top + SIDE) {
                for column in left..columns.min(left + SIDE) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
}
