//! Gradient on a convolution's weights as a sum of outer products that lie in the images as they are:
//! `dw[u, v, c, o] = sum over images and i, j of x[i * s + u - p, j * s + v - p, c] * dy[i, j, o]`.
//!
//! The weights of one kernel row `u` are rows of `dw` that lie side by side, and so do the inputs that they meet. That
//! is how the gradient is cut into [`tasks`], each of which reads all images and writes some rows.

use std::ops::Range;

use super::Geometry;
use crate::epilogue::check_values;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::outer::{self, Operand};

/// Rows of `dw` of a task, at most: a few tiles, so that a task's inputs and sums stay in a second-level cache while
/// the gradients stream through it, and there are tasks for many threads.
const ROWS: usize = 56;

/// Bytes of inputs and gradients that all tasks should meet before the next images come, since every task reads all of
/// them (measured: the whole batch at once is a fifth slower).
const BYTES: usize = 2 << 20;

/// Room for the rows of one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    x: Vec<usize>,
    dy: Vec<usize>,
}

/// The rows of `dw` `[kernel * kernel * in, out]`, cut into pieces that can be computed apart, in any order.
///
/// # Panics
/// If it is no convolution, or one of more rows than any machine has memory for.
pub fn tasks(g: &Geometry) -> Vec<Range<usize>> {
    g.check();
    let run = g.kernel * g.in_channels;
    outer::pieces(g.kernel, run, ROWS)
}

/// Images that are best handed over at a time; a thread goes through all its tasks before the next images. Follows from
/// the sizes alone, so that sums that are made of such blocks do so too.
pub fn images(g: &Geometry) -> usize {
    (BYTES / size_of::<f32>() / (g.input_len() + g.output_len()).max(1)).max(1)
}

/// Adds the sum over `images` images to the rows `rows` (one of [`tasks`]) of the gradient on the weights, which are
/// `dw` `[rows, out]`, from the inputs `x` (layout `from`, its halo at least the padding) and the gradients `dy` on the
/// outputs (layout `to`).
///
/// Sums are cut into blocks of pixels that follow from the number of pixels alone.
///
/// # Panics
/// If a layout or a slice does not fit, the output channels are no whole vectors, or the rows are not of one kernel
/// row.
#[allow(
    clippy::too_many_arguments,
    reason = "two images with their layouts, and the part that is wanted of the result"
)]
pub fn accumulate(
    isa: Isa,
    g: &Geometry,
    x: &[f32],
    from: &Layout,
    dy: &[f32],
    to: &Layout,
    images: usize,
    rows: Range<usize>,
    dw: &mut [f32],
    scratch: &mut Scratch,
) {
    g.check();
    g.check_images(from, to);
    assert!(from.halo >= g.padding, "{from:?} has a halo of less than the padding of {g:?}");
    let (from, to) = (&from.places(images), &to.places(images));
    check_values(x, from);
    check_values(dy, to);
    let run = g.kernel * g.in_channels;
    assert!(rows.start <= rows.end && rows.end <= g.taps(), "rows {rows:?} of the weights of {g:?}");
    let (u, first) = (rows.start / run, rows.start % run);
    assert!(first + rows.len() <= run, "rows {rows:?} are not of one kernel row of {g:?}");
    // Rows that the weights have, so that the product is one of their values.
    assert!(dw.len() == rows.len() * g.out_channels, "{} values for rows {rows:?} of {g:?}", dw.len());
    if rows.is_empty() {
        return;
    }
    scratch.x.clear();
    scratch.dy.clear();
    for image in 0..images {
        for i in 0..to.height {
            let row = i * g.stride + u + from.halo - g.padding;
            let x = image * from.image() + row * from.row() + (from.halo - g.padding) * from.channels + first;
            let dy = image * to.image() + to.pixel(i, 0);
            scratch.x.extend((0..to.width).map(|j| x + j * g.stride * from.channels));
            scratch.dy.extend((0..to.width).map(|j| dy + j * to.channels));
        }
    }
    let x = Operand { values: x, starts: &scratch.x, length: rows.len() };
    let dy = Operand { values: dy, starts: &scratch.dy, length: g.out_channels };
    outer::add(isa, x, dy, dw, g.out_channels);
}
