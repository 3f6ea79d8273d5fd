//! `Y = A^T M A` for a block of tiles, and the end of the layer.

use std::ops::Range;

use super::transforms::{POINTS, output};
use super::{Geometry, Tiling};
use crate::finish::{Finish, PooledFinish};
use crate::isa::Isa;
use crate::layout::Layout;
use crate::vector::{Kernel, LANES, Vector, run};

/// How the layer ends.
pub enum Ending<'a> {
    /// Every output by itself.
    Pixels(Finish<'a>),
    /// Rectified and pooled 2x2; the layout is that of the pooled values.
    Pooled(PooledFinish<'a>, Layout),
}

/// Panics if the ending does not fit the geometry.
pub(super) fn check(g: &Geometry, ending: &Ending<'_>, to: &Layout, images: usize) {
    assert!([to.height, to.width] == g.output() && to.channels == g.out_channels, "{to:?} for {g:?}");
    match ending {
        Ending::Pixels(finish) => finish.check(to, images),
        Ending::Pooled(finish, pooled) => {
            let sides = g.output().map(|side| side / 2);
            assert!([pooled.height, pooled.width] == sides && pooled.channels == to.channels, "{pooled:?}");
            finish.check(pooled, images);
        }
    }
}

/// Transforms `tiles` back and finishes their outputs: product `e` of tile `t` begins at `e * stride + t * channels`
/// of `m`.
pub(super) fn transform(
    isa: Isa,
    tiling: &Tiling,
    m: &[f32],
    stride: usize,
    tiles: Range<usize>,
    to: &Layout,
    ending: &mut Ending<'_>,
) {
    run(isa, Output { tiling, m, stride, tiles, to, ending });
}

struct Output<'a, 'b> {
    tiling: &'a Tiling,
    m: &'a [f32],
    stride: usize,
    tiles: Range<usize>,
    to: &'a Layout,
    ending: &'a mut Ending<'b>,
}

impl Kernel for Output<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        // SAFETY: as this function's.
        unsafe {
            match self.tiling.side {
                4 => self.tiles::<V, 4>(),
                _ => self.tiles::<V, 2>(),
            }
        }
    }
}

impl Output<'_, '_> {
    /// # Safety
    /// The processor has the instruction set of `V`; `M` is the tiling's side.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const M: usize>(&mut self) {
        let first = self.tiles.start;
        for tile in self.tiles.clone() {
            let (image, row, column) = self.tiling.locate(tile);
            let from = (tile - first) * self.to.channels;
            for channel in (0..self.to.channels).step_by(LANES) {
                // SAFETY: as this function's; `check` compared the ending with the geometry, and whoever calls
                // `transform` gave `m` a place for every tile.
                unsafe {
                    let outputs = self.outputs::<V, M>(from + channel);
                    match &mut *self.ending {
                        Ending::Pixels(finish) => {
                            let at = image * self.to.image() + self.to.pixel(row, column) + channel;
                            let [height, width] = self.tiling.output;
                            for (r, outputs) in outputs.into_iter().enumerate().take(height - row) {
                                for (c, output) in outputs.into_iter().enumerate().take(width - column) {
                                    finish.put(
                                        at + r * self.to.row() + c * self.to.channels,
                                        channel,
                                        output,
                                    );
                                }
                            }
                        }
                        Ending::Pooled(finish, pooled) => {
                            let (row, column) = (row / 2, column / 2);
                            let at = image * pooled.image() + pooled.pixel(row, column) + channel;
                            for r in 0..(M / 2).min(pooled.height - row.min(pooled.height)) {
                                for c in 0..(M / 2).min(pooled.width - column.min(pooled.width)) {
                                    let (top, bottom) = (outputs[2 * r], outputs[2 * r + 1]);
                                    let window =
                                        [top[2 * c], top[2 * c + 1], bottom[2 * c], bottom[2 * c + 1]];
                                    finish.put(at + r * pooled.row() + c * pooled.channels, channel, window);
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The outputs of one tile and sixteen channels.
    ///
    /// # Safety
    /// As [`Output::tiles`].
    #[inline(always)]
    unsafe fn outputs<V: Vector, const M: usize>(&self, from: usize) -> [[V; M]; M] {
        // SAFETY: as this function's.
        unsafe {
            let mut rows = [[V::zero(); POINTS]; M];
            for c in 0..POINTS {
                let mut products = [V::zero(); POINTS];
                for (r, product) in products.iter_mut().enumerate() {
                    *product = V::load(self.m, (r * POINTS + c) * self.stride + from);
                }
                let column: [V; M] = output(products);
                for (row, value) in rows.iter_mut().zip(column) {
                    row[c] = value;
                }
            }
            let mut outputs = [[V::zero(); M]; M];
            for (outputs, row) in outputs.iter_mut().zip(rows) {
                *outputs = output(row);
            }
            outputs
        }
    }
}
