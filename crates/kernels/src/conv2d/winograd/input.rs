//! `V = B^T d B` for a block of tiles.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::scheme::Scheme;
use super::transforms::OUTPUTS;
use super::{Geometry, Tiling};
use crate::epilogue::{Bits, Source};
use crate::isa::Isa;
use crate::layout::Places;
use crate::vector::{Kernel, LANES, Vector};

/// Panics if the source does not fit the geometry.
pub(super) fn check(g: &Geometry, source: Source<'_>, from: &Places) {
    let (sides, halo) = match source {
        Source::Dense(_) => (g.input, g.padding),
        Source::Pooled(..) => (g.input.map(|side| side / 2), g.padding.div_ceil(2)),
    };
    assert!(
        [from.height, from.width] == sides && from.channels == g.in_channels && from.halo >= halo,
        "{:?}, but {sides:?} with a halo of {halo} is read: {g:?}",
        **from
    );
    source.check(from);
}

/// Writes the transforms of `tiles` as words, of `WIDE` channels each: product `e` of tile `t` begins at `e * stride + t * channels /
/// WIDE` of `v`.
pub(super) fn transform<W: Scheme>(
    isa: Isa,
    tiling: &Tiling,
    source: Source<'_>,
    from: &Places,
    tiles: Range<usize>,
    v: &mut [W],
    stride: usize,
) {
    W::run(isa, Input { tiling, source, from, tiles, v, stride });
}

struct Input<'a, W> {
    tiling: &'a Tiling,
    source: Source<'a>,
    from: &'a Places,
    tiles: Range<usize>,
    v: &'a mut [W],
    stride: usize,
}

impl<W: Scheme> Kernel for Input<'_, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: as this function's.
        unsafe {
            match self.tiling.points {
                6 => self.tiles::<V, 6>(),
                points if W::WIDE > 1 => unreachable!("{points} points are f32's alone"),
                _ => self.tiles::<V, 8>(),
            }
        }
    }
}

impl<W: Scheme> Input<'_, W> {
    /// # Safety
    /// The processor has the instruction set of `V`; `P` is the tiling's number of points.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const P: usize>(self) {
        let Self { tiling, source, from, tiles, v, stride } = self;
        let first = tiles.start;
        for tile in tiles {
            let (image, row, column) = tiling.locate(tile);
            let to = (tile - first) * from.channels / W::WIDE;
            // SAFETY: the instruction set by this function's contract; `check` compared the source with the
            // geometry, and whoever calls `transform` gave `v` room for every tile.
            unsafe {
                match source {
                    Source::Dense(values) => {
                        let patch = Patch::new(tiling, from, values, image, row, column);
                        if patch.exists[0] >= P && patch.exists[1] >= P {
                            each_vector::<V, W, P>(&Inside::<P>(patch), from.channels, v, to, stride);
                        } else {
                            each_vector::<V, W, P>(&patch, from.channels, v, to, stride);
                        }
                    }
                    Source::Pooled(values, bits) => {
                        let windows = Windows::new(tiling, from, (values, bits), image, row, column);
                        match windows.whole(P) {
                            Some(Begin::Window) => {
                                each_vector::<V, W, P>(&Whole::<0>(windows), from.channels, v, to, stride);
                            }
                            Some(Begin::Middle) => {
                                each_vector::<V, W, P>(&Whole::<1>(windows), from.channels, v, to, stride);
                            }
                            None => each_vector::<V, W, P>(&windows, from.channels, v, to, stride),
                        }
                    }
                }
            }
        }
    }
}

/// Transforms one tile, sixteen channels at a time.
///
/// # Safety
/// The processor has the instruction set of `V`; `v` has room.
#[inline(always)]
unsafe fn each_vector<V: Vector, W: Scheme, const P: usize>(
    tile: &impl Tile,
    channels: usize,
    v: &mut [W],
    to: usize,
    stride: usize,
) {
    for channel in (0..channels).step_by(LANES) {
        // SAFETY: as this function's.
        unsafe {
            // By columns and not zeroed, because eight by eight vectors are moved and cleared by calls.
            let mut columns = [const { MaybeUninit::<[V; P]>::uninit() }; P];
            for (c, transformed) in columns.iter_mut().enumerate() {
                let mut column = [V::zero(); P];
                for (r, value) in column.iter_mut().enumerate() {
                    *value = tile.load(r, c, channel);
                }
                transformed.write(W::input(column));
            }
            for r in 0..P {
                let mut row = [V::zero(); P];
                for (value, column) in row.iter_mut().zip(&columns) {
                    *value = column.assume_init_ref()[r];
                }
                for (c, &value) in W::input(row).iter().enumerate() {
                    W::store(value, v, (r * P + c) * stride + to + channel / W::WIDE);
                }
            }
        }
    }
}

/// The inputs of a tile. (Not a closure: those cannot be made to be inlined.)
trait Tile {
    /// Sixteen channels of the input at row `r` and column `c`.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn load<V: Vector>(&self, r: usize, c: usize, channel: usize) -> V;
}

/// The inputs of a tile in a dense image, of which some may lie outside it and its halo.
struct Patch<'a> {
    values: &'a [f32],
    /// Place of the first.
    start: usize,
    row: usize,
    pixel: usize,
    /// Rows and columns that lie in the image or its halo.
    exists: [usize; 2],
}

impl<'a> Patch<'a> {
    #[inline(always)]
    fn new(
        tiling: &Tiling,
        from: &Places,
        values: &'a [f32],
        image: usize,
        row: usize,
        column: usize,
    ) -> Self {
        // The halo is at least as wide as the padding.
        let (row, column) = (row + from.halo - tiling.padding, column + from.halo - tiling.padding);
        Self {
            values,
            start: image * from.image() + row * from.row() + column * from.channels,
            row: from.row(),
            pixel: from.channels,
            exists: [
                (from.height + 2 * from.halo).saturating_sub(row),
                (from.width + 2 * from.halo).saturating_sub(column),
            ],
        }
    }
}

impl Tile for Patch<'_> {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, r: usize, c: usize, channel: usize) -> V {
        // SAFETY: as this function's; what is outside is not read.
        unsafe {
            if r < self.exists[0] && c < self.exists[1] {
                V::load(self.values, self.start + r * self.row + c * self.pixel + channel)
            } else {
                V::zero()
            }
        }
    }
}

/// A patch of `P` by `P` that lies inside.
struct Inside<'a, const P: usize>(Patch<'a>);

impl<const P: usize> Tile for Inside<'_, P> {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, r: usize, c: usize, channel: usize) -> V {
        // SAFETY: as this function's; every input exists.
        unsafe {
            let at = self.0.start + r * self.0.row + c * self.0.pixel + channel;
            if r >= P - OUTPUTS && c >= P - OUTPUTS {
                // What the next tile reads there and no tile before did: tiles are not read in an order that the
                // processor foresees.
                V::prefetch(self.0.values, at + OUTPUTS * self.0.pixel);
            }
            V::load(self.0.values, at)
        }
    }
}

/// The gradients of a tile whose image was pooled: each is its window's gradient, if its bit is set.
struct Windows<'a> {
    values: &'a [f32],
    bits: &'a [[Bits; 4]],
    /// Place of the image.
    image: usize,
    row: usize,
    pixel: usize,
    /// Rows and columns of windows, halo included.
    windows: [usize; 2],
    /// Row and column of the first gradient, counted from the halo's first window.
    first: [usize; 2],
}

impl<'a> Windows<'a> {
    #[inline(always)]
    fn new(
        tiling: &Tiling,
        from: &Places,
        (values, bits): (&'a [f32], &'a [[Bits; 4]]),
        image: usize,
        row: usize,
        column: usize,
    ) -> Self {
        // Two gradients a window of the halo.
        let before = 2 * from.halo - tiling.padding;
        Self {
            values,
            bits,
            image: image * from.image(),
            row: from.row(),
            pixel: from.channels,
            windows: [from.height + 2 * from.halo, from.width + 2 * from.halo],
            first: [row + before, column + before],
        }
    }

    /// Where the tile begins, if all its windows lie in the image and its halo.
    #[inline(always)]
    fn whole(&self, points: usize) -> Option<Begin> {
        let inside = |side: usize| self.first[side] + points <= 2 * self.windows[side];
        match self.first.map(|first| first % 2) {
            [0, 0] if inside(0) && inside(1) => Some(Begin::Window),
            [1, 1] if inside(0) && inside(1) => Some(Begin::Middle),
            _ => None,
        }
    }
}

/// What the first gradient of a tile is, in both dimensions.
enum Begin {
    /// The first of its window.
    Window,
    /// The last of its window.
    Middle,
}

/// Windows that all exist, of which the first gradients are number `BEGIN`: nothing is to be found out for each.
struct Whole<'a, const BEGIN: usize>(Windows<'a>);

impl<const BEGIN: usize> Tile for Whole<'_, BEGIN> {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, r: usize, c: usize, channel: usize) -> V {
        let Windows { values, bits, image, row, pixel, first, .. } = self.0;
        let start = image + first[0] / 2 * row + first[1] / 2 * pixel + channel;
        let (r, c) = (r + BEGIN, c + BEGIN);
        let at = start + r / 2 * row + c / 2 * pixel;
        // SAFETY: as this function's; every window exists.
        unsafe { V::load(values, at).keep(bits.get_unchecked(at / LANES)[r % 2 * 2 + c % 2]) }
    }
}

impl Tile for Windows<'_> {
    #[inline(always)]
    unsafe fn load<V: Vector>(&self, r: usize, c: usize, channel: usize) -> V {
        let (row, column) = (self.first[0] + r, self.first[1] + c);
        // SAFETY: as this function's; windows beyond the halo are not read, those in it hold zeros.
        unsafe {
            if row / 2 >= self.windows[0] || column / 2 >= self.windows[1] {
                return V::zero();
            }
            let at = self.image + row / 2 * self.row + column / 2 * self.pixel + channel;
            V::load(self.values, at).keep(self.bits.get_unchecked(at / LANES)[row % 2 * 2 + column % 2])
        }
    }
}
