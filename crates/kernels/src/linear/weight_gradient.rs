//! Gradient on a linear layer's weights, `dw[i, o] = sum over rows of x[i] * dy[o]`, with the inputs read where they lie:
//! an image of a [`Layout`] is one row, in as many runs as the image has rows, and the weights have their inputs in
//! the image's order.

use std::ops::Range;

use crate::epilogue::check_values;
use crate::isa::Isa;
use crate::layout::Layout;
use crate::outer::{self, Operand};
use crate::sizes::{self, product};

/// Rows of `dw` of a task, at most.
const ROWS: usize = 56;

/// Room for the rows of one call; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    x: Vec<usize>,
    dy: Vec<usize>,
}

/// The rows of `dw` `[height * width * channels, outputs]` for inputs that lie as `from` says, cut into pieces that can
/// be computed apart, in any order.
///
/// # Panics
/// If there are more rows than any machine has memory for.
pub fn tasks(from: &Layout) -> Vec<Range<usize>> {
    let row = sizes::values("a row of weights", &[from.width, from.channels]);
    outer::pieces(from.height, row, ROWS)
}

/// Adds the sum over `images` images to the rows `rows` (one of [`tasks`]) of the gradient on the weights, which are
/// `dw` `[rows, outputs]`, from the inputs `x` (layout `from`) and the gradients `dy`, which lie as
/// [`super::packed::Packed::to`] says.
///
/// # Panics
/// If a slice does not fit, the outputs are no whole vectors, or the rows are not of one row of the image.
#[allow(clippy::too_many_arguments, reason = "two buffers, and the part that is wanted of the result")]
pub fn accumulate(
    isa: Isa,
    x: &[f32],
    from: &Layout,
    dy: &[f32],
    outputs: usize,
    images: usize,
    rows: Range<usize>,
    dw: &mut [f32],
    scratch: &mut Scratch,
) {
    let from = &from.places(images);
    let to = &Layout { height: 1, width: 1, channels: outputs, halo: 0 }.places(images);
    to.assert_whole_vectors();
    check_values(x, from);
    check_values(dy, to);
    let run = from.width * from.channels;
    let there = rows.start <= rows.end && rows.end <= from.height * run;
    assert!(there, "rows {rows:?} of the weights of {:?}", **from);
    let fits = product(&[rows.len(), outputs]) == Some(dw.len());
    assert!(fits, "{} values for rows {rows:?} of {outputs} outputs", dw.len());
    if rows.is_empty() {
        return;
    }
    let (row, first) = (rows.start / run, rows.start % run);
    assert!(first + rows.len() <= run, "rows {rows:?} are not of one row of {:?}", **from);
    scratch.x.clear();
    scratch.dy.clear();
    let start = from.pixel(row, 0) + first;
    scratch.x.extend((0..images).map(|image| image * from.image() + start));
    scratch.dy.extend((0..images).map(|image| image * to.image()));
    let x = Operand { values: x, starts: &scratch.x, length: rows.len() };
    let dy = Operand { values: dy, starts: &scratch.dy, length: outputs };
    outer::add(isa, x, dy, dw, outputs);
}
