//! The gradient on the images.

use super::Geometry;
use super::taps::{AddTaps, SLACK};
use crate::aligned::Aligned;
use crate::epilogue::{Bits, Source, check_values};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::panels::{Panels, Rows, Store, multiply};
use crate::vector::{Kernel, LANES, Vector, run};

/// A convolution with its weights packed for this gradient.
#[derive(Debug)]
pub struct FewChannels {
    isa: Isa,
    geometry: Geometry,
    panels: Panels,
}

/// What happens with the values that stand in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They are overwritten.
    Write,
    /// The gradient is added to them.
    Add,
}

/// Room for one image; kept by a thread from call to call.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Gradients of two rows that were pooled.
    unpooled: Aligned,
    /// Where output pixels begin.
    starts: Vec<usize>,
    taps: Aligned,
    /// The padded image, in rows of whole vectors.
    sums: Aligned,
}

impl FewChannels {
    /// Packs weights in this folder's order (`[kernel, kernel, in, out]`).
    ///
    /// # Panics
    /// If the weights do not fit `geometry`.
    pub fn new(isa: Isa, geometry: Geometry, weights: &[f32]) -> Self {
        geometry.check_weights(weights.len());
        let (taps, outputs) = (geometry.taps(), geometry.out_channels);
        let transposed: Vec<f32> =
            (0..outputs * taps).map(|at| weights[at % taps * outputs + at / taps]).collect();
        Self { isa, geometry, panels: Panels::pack(isa, &transposed, outputs, taps) }
    }

    /// Writes the gradient on `images` images (layout `to`) for the gradient `dy` on the output (layout `from`, that of
    /// pooled values for a pooled gradient), or adds it to what stands there.
    ///
    /// # Panics
    /// If a layout or a slice does not fit.
    #[allow(clippy::too_many_arguments, reason = "two images with their layouts")]
    pub fn run(
        &self,
        dy: Source<'_>,
        from: &Layout,
        images: usize,
        to: &Layout,
        dx: &mut [f32],
        mode: Mode,
        scratch: &mut Scratch,
    ) {
        let g = &self.geometry;
        match dy {
            Source::Dense(_) => g.check_images(to, from),
            Source::Pooled(..) => {
                g.check_input(to);
                g.check_pooled(from);
            }
        }
        let (from, to) = (&from.places(images), &to.places(images));
        dy.check(from);
        check_values(dx, to);
        scratch.make_room(g, &self.panels);
        for image in 0..images {
            let dx = &mut dx[image * to.image()..][..to.image()];
            scratch.begin(g, to, (mode == Mode::Add).then_some(&*dx));
            for row in 0..from.height {
                match dy {
                    Source::Dense(dy) => {
                        let start = image * from.image() + from.pixel(row, 0);
                        self.row(dy, start, row, from.width, scratch);
                    }
                    Source::Pooled(dy, bits) => {
                        let mut unpooled = std::mem::take(&mut scratch.unpooled);
                        let start = image * from.image() + from.pixel(row, 0);
                        run(self.isa, Unpool { dy, bits, start, from, to: &mut unpooled });
                        for half in 0..2 {
                            let start = half * 2 * from.width * from.channels;
                            self.row(&unpooled, start, 2 * row + half, 2 * from.width, scratch);
                        }
                        scratch.unpooled = unpooled;
                    }
                }
            }
            scratch.end(g, to, dx);
        }
    }

    /// Adds what `count` output pixels of row `row` give, whose gradients lie side by side from `start` on.
    fn row(&self, dy: &[f32], start: usize, row: usize, count: usize, scratch: &mut Scratch) {
        let g = &self.geometry;
        let columns = self.panels.columns();
        scratch.starts.clear();
        scratch.starts.extend((0..count).map(|column| start + column * g.out_channels));
        let rows = Rows::plain(dy, &scratch.starts, g.out_channels);
        multiply(rows, &self.panels, &mut Store { values: &mut scratch.taps[SLACK..], stride: columns });
        let length = row_of_sums(g);
        let (taps, sums) = (&scratch.taps, &mut scratch.sums[row * g.stride * length..]);
        run(self.isa, AddTaps { g, taps, columns, count, sums, row: length });
    }
}

/// Values from one row of the sums to the next.
fn row_of_sums(g: &Geometry) -> usize {
    ((g.input[1] + 2 * g.padding) * g.in_channels).next_multiple_of(LANES)
}

impl Scratch {
    fn make_room(&mut self, g: &Geometry, panels: &Panels) {
        let width = g.output()[1];
        self.unpooled.grow(2 * width * g.out_channels);
        self.taps.grow(2 * SLACK + width * panels.columns());
        self.sums.grow((g.input[0] + 2 * g.padding) * row_of_sums(g));
    }

    /// Begins an image with zeros, or with what stands there.
    fn begin(&mut self, g: &Geometry, to: &Places, earlier: Option<&[f32]>) {
        let (row, len) = (row_of_sums(g), to.width * to.channels);
        self.sums[..(g.input[0] + 2 * g.padding) * row].fill(0.0);
        let Some(earlier) = earlier else { return };
        for at in 0..to.height {
            let sums = &mut self.sums[(at + g.padding) * row + g.padding * to.channels..][..len];
            sums.copy_from_slice(&earlier[to.pixel(at, 0)..][..len]);
        }
    }

    /// Hands an image over, without what fell on the padding.
    fn end(&self, g: &Geometry, to: &Places, dx: &mut [f32]) {
        let (row, len) = (row_of_sums(g), to.width * to.channels);
        for at in 0..to.height {
            let sums = &self.sums[(at + g.padding) * row + g.padding * to.channels..][..len];
            dx[to.pixel(at, 0)..][..len].copy_from_slice(sums);
        }
    }
}

/// One row of pooled gradients, which begins at `start`, as the two rows of gradients that they are: each at its place of
/// its window, 0 elsewhere.
struct Unpool<'a> {
    dy: &'a [f32],
    bits: &'a [[Bits; 4]],
    start: usize,
    from: &'a Places,
    to: &'a mut [f32],
}

impl Kernel for Unpool<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { dy, bits, start, from, to } = self;
        let below = 2 * from.width * from.channels;
        for column in 0..from.width {
            for channel in (0..from.channels).step_by(LANES) {
                let (at, place) =
                    (start + column * from.channels + channel, 2 * column * from.channels + channel);
                // SAFETY: the instruction set by this function's contract; `run` compared the gradients with the layout, and
                // made room for two rows.
                unsafe {
                    let (value, places) = (V::load(dy, at), *bits.get_unchecked(at / LANES));
                    value.keep(places[0]).store(to, place);
                    value.keep(places[1]).store(to, place + from.channels);
                    value.keep(places[2]).store(to, below + place);
                    value.keep(places[3]).store(to, below + place + from.channels);
                }
            }
        }
    }
}
