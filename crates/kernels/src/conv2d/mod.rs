//! Two-dimensional convolution (cross-correlation, as in PyTorch), channels last.
//!
//! With zero padding, `y[i, j, o] = b[o] + sum over u, v, c of w[u, v, c, o] * x[i * s + u - p, j * s + v - p, c]`.
//! Weights are kept as `[kernel * kernel * in, out]`, in the order `(u, v, c)` of the sum.
//!
//! Which implementation serves which layer: [`winograd`] stride 1 with kernels of 3 and 5, [`implicit_gemm`] everything
//! else, [`few_channels`] pooling and the gradient at a network's images, [`sparse`] a gradient below a global max pooling. All
//! write through [`crate::epilogue`].

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
use crate::layout::Layout;
use crate::sizes::{MOST, product};
use crate::vector::LANES;

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
    ///
    /// # Panics
    /// If the stride is 0, or a size is more than a buffer can hold, as all that follows.
    pub fn output(&self) -> [usize; 2] {
        self.sizes(|g| g.checked_output())
    }

    /// Values of one input image.
    pub fn input_len(&self) -> usize {
        self.sizes(|g| product(&[g.input[0], g.input[1], g.in_channels]))
    }

    /// Values of one output image.
    pub fn output_len(&self) -> usize {
        self.sizes(|g| product(&[g.positions(), g.out_channels]))
    }

    /// Output pixels of one image.
    pub fn positions(&self) -> usize {
        self.sizes(|g| product(&g.checked_output()?))
    }

    /// Products that make one output value.
    pub fn taps(&self) -> usize {
        self.sizes(|g| product(&[g.kernel, g.kernel, g.in_channels]))
    }

    fn checked_output(&self) -> Option<[usize; 2]> {
        let [height, width] = self.checked_padded()?;
        let outputs = |side: usize| match side.checked_sub(self.kernel) {
            Some(room) => Some(room.checked_div(self.stride)? + 1),
            None => Some(0),
        };
        Some([outputs(height)?, outputs(width)?])
    }

    /// Height and width of the input with its padding.
    fn checked_padded(&self) -> Option<[usize; 2]> {
        let padded =
            |side: usize| Some(side.checked_add(self.padding.checked_mul(2)?)?).filter(|&side| side <= MOST);
        Some([padded(self.input[0])?, padded(self.input[1])?])
    }

    fn sizes<T>(&self, of: impl FnOnce(&Self) -> Option<T>) -> T {
        of(self).unwrap_or_else(|| panic!("{self:?} has a stride of 0, or a size that no buffer can hold"))
    }

    /// Panics unless it is a convolution: something is multiplied, and the padded input, the output and the weights are of
    /// sizes that buffers can hold. Whoever packs weights asks once, so that no other place has to.
    fn check(&self) {
        let Self { in_channels, out_channels, kernel, stride, .. } = *self;
        assert!(
            [in_channels, out_channels, kernel, stride].iter().all(|&size| size > 0),
            "channels, kernel and stride are at least 1: {self:?}"
        );
        self.sizes(|g| {
            let [height, width] = g.checked_padded()?;
            product(&[height, width, in_channels.checked_next_multiple_of(LANES)?])?;
            product(&[stride, in_channels])?;
            product(&[g.positions(), out_channels])?;
            product(&[g.taps(), out_channels])
        });
    }

    /// The same, with weights of `len` values.
    fn check_weights(&self, len: usize) {
        self.check();
        let wanted = self.taps() * self.out_channels;
        assert!(len == wanted, "{len} weights, not {wanted}, for {self:?}");
    }

    /// Panics unless images of `from` and `to` are its inputs and its outputs.
    fn check_images(&self, from: &Layout, to: &Layout) {
        self.check_input(from);
        assert!(
            [to.height, to.width] == self.output() && to.channels == self.out_channels,
            "{to:?} is no output of {self:?}"
        );
    }

    /// Panics unless images of `from` are its inputs.
    fn check_input(&self, from: &Layout) {
        assert!(
            [from.height, from.width] == self.input && from.channels == self.in_channels,
            "{from:?} is no input of {self:?}"
        );
    }

    /// Panics unless images of `from` are its outputs after 2x2 pooling.
    fn check_pooled(&self, from: &Layout) {
        let sides = self.output().map(|side| side / 2);
        assert!(
            [from.height, from.width] == sides && from.channels == self.out_channels,
            "{from:?} is no output of {self:?} after 2x2 pooling"
        );
    }
}

/// Sizes and weights (`[kernel, kernel, out, in]`) of the convolution that pulls a gradient back through one of stride 1:
/// the kernel turned by 180 degrees, its channels exchanged.
///
/// # Panics
/// If the stride is not 1, the padding not less than the kernel, or the weights do not fit.
pub fn turn(g: &Geometry, weights: &[f32]) -> (Geometry, Aligned) {
    g.check_weights(weights.len());
    assert!(
        g.stride == 1 && g.padding < g.kernel,
        "only a stride of 1 and less padding than kernel turns: {g:?}"
    );
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
