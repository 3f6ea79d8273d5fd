//! `Y = A^T M A` for a block of tiles, and the end of the layer.

use std::marker::PhantomData;
use std::ops::Range;

use super::scheme::Scheme;
use super::transforms::OUTPUTS;
use super::{Geometry, Tiling};
use crate::epilogue::{
    Add, Epilogue, Gate, MarkingRectifier, MaskedGate, OpenGate, Pass, PooledEpilogue, Rectifier,
};
use crate::isa::Isa;
use crate::layout::{Layout, Places};
use crate::vector::{Kernel, LANES, Vector, run};

/// How the layer ends.
pub enum Ending<'a> {
    /// Every output by itself.
    Pixels(Epilogue<'a>),
    /// Rectified and pooled 2x2; the layout is that of the pooled values.
    Pooled(PooledEpilogue<'a>, Layout),
}

/// Panics if the ending does not fit the geometry.
pub(super) fn check(g: &Geometry, ending: &Ending<'_>, to: &Places, images: usize) {
    assert!(
        [to.height, to.width] == g.output() && to.channels == g.out_channels,
        "{:?} is no output of {g:?}",
        **to
    );
    match ending {
        Ending::Pixels(epilogue) => epilogue.check(to),
        Ending::Pooled(epilogue, pooled) => {
            g.check_pooled(pooled);
            epilogue.check(&pooled.places(images));
        }
    }
}

/// Transforms `tiles` back and finishes their outputs: product `e` of tile `t` begins at `e * stride + t * channels`
/// of `m`, the sums of products of `W`.
pub(super) fn transform<W: Scheme>(
    isa: Isa,
    tiling: &Tiling,
    m: &[f32],
    stride: usize,
    tiles: Range<usize>,
    to: &Places,
    ending: &mut Ending<'_>,
) {
    run(isa, Output { tiling, m, stride, tiles, to, ending, words: PhantomData::<W> });
}

struct Output<'a, 'b, W> {
    tiling: &'a Tiling,
    m: &'a [f32],
    stride: usize,
    tiles: Range<usize>,
    to: &'a Places,
    ending: &'a mut Ending<'b>,
    words: PhantomData<W>,
}

impl<W: Scheme> Kernel for Output<'_, '_, W> {
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

impl<W: Scheme> Output<'_, '_, W> {
    /// # Safety
    /// The processor has the instruction set of `V`; `P` is the tiling's number of points.
    #[inline(always)]
    unsafe fn tiles<V: Vector, const P: usize>(self) {
        let Self { tiling, m, stride, tiles, to, ending, words } = self;
        let products = Products { tiling, m, stride, tiles, channels: to.channels, words };
        // SAFETY: the instruction set by this function's contract; `check` compared the ending with the geometry, and
        // whoever calls `transform` gave `m` a place for every tile.
        unsafe {
            match ending {
                Ending::Pixels(epilogue) => match &mut epilogue.gate {
                    Gate::Open => {
                        products.pixels::<V, _, P>(to, epilogue.bias, epilogue.output, epilogue.add, OpenGate)
                    }
                    Gate::Rectify => products.pixels::<V, _, P>(
                        to,
                        epilogue.bias,
                        epilogue.output,
                        epilogue.add,
                        Rectifier,
                    ),
                    Gate::RectifyAndMask(bits) => {
                        let gate = MarkingRectifier(bits);
                        products.pixels::<V, _, P>(to, epilogue.bias, epilogue.output, epilogue.add, gate);
                    }
                    Gate::Masked(bits) => {
                        let gate = MaskedGate(bits);
                        products.pixels::<V, _, P>(to, epilogue.bias, epilogue.output, epilogue.add, gate);
                    }
                },
                Ending::Pooled(epilogue, pooled) => products.pooled::<V, P>(epilogue, &pooled.places(1)),
            }
        }
    }
}

/// The products of a block of tiles.
struct Products<'a, W> {
    tiling: &'a Tiling,
    m: &'a [f32],
    stride: usize,
    tiles: Range<usize>,
    channels: usize,
    words: PhantomData<W>,
}

impl<W: Scheme> Products<'_, W> {
    /// # Safety
    /// As [`Output::tiles`]; every place exists.
    #[inline(always)]
    unsafe fn pixels<V: Vector, G: Pass, const P: usize>(
        &self,
        to: &Places,
        bias: Option<&[f32]>,
        output: &mut [f32],
        add: Add<'_>,
        mut gate: G,
    ) {
        let [height, width] = self.tiling.output;
        for tile in self.tiles.clone() {
            let (image, row, column) = self.tiling.locate(tile);
            let from = (tile - self.tiles.start) * self.channels;
            let at = image * to.image() + to.pixel(row, column);
            for channel in (0..self.channels).step_by(LANES) {
                // SAFETY: as this function's.
                unsafe {
                    let outputs = self.outputs::<V, P>(from + channel);
                    let bias = match bias {
                        Some(bias) => V::load(bias, channel),
                        None => V::zero(),
                    };
                    if row + OUTPUTS <= height && column + OUTPUTS <= width {
                        // Whole tiles have their loops unrolled.
                        for (r, outputs) in outputs.iter().enumerate() {
                            for (c, &value) in outputs.iter().enumerate() {
                                let place = at + channel + r * to.row() + c * to.channels;
                                gate.pass(output, add, place, value.add(bias));
                            }
                        }
                    } else {
                        for (r, outputs) in outputs.iter().enumerate().take(height - row) {
                            for (c, &value) in outputs.iter().enumerate().take(width - column) {
                                let place = at + channel + r * to.row() + c * to.channels;
                                gate.pass(output, add, place, value.add(bias));
                            }
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Products::pixels`].
    #[inline(always)]
    unsafe fn pooled<V: Vector, const P: usize>(&self, epilogue: &mut PooledEpilogue<'_>, pooled: &Places) {
        for tile in self.tiles.clone() {
            let (image, row, column) = self.tiling.locate(tile);
            let from = (tile - self.tiles.start) * self.channels;
            let (row, column) = (row / 2, column / 2);
            let at = image * pooled.image() + pooled.pixel(row, column);
            for channel in (0..self.channels).step_by(LANES) {
                // SAFETY: as this function's.
                unsafe {
                    let outputs = self.outputs::<V, P>(from + channel);
                    for r in 0..(OUTPUTS / 2).min(pooled.height - row.min(pooled.height)) {
                        for c in 0..(OUTPUTS / 2).min(pooled.width - column.min(pooled.width)) {
                            let (top, bottom) = (outputs[2 * r], outputs[2 * r + 1]);
                            let window = [top[2 * c], top[2 * c + 1], bottom[2 * c], bottom[2 * c + 1]];
                            let place = at + channel + r * pooled.row() + c * pooled.channels;
                            epilogue.put(place, channel, window);
                        }
                    }
                }
            }
        }
    }

    /// The outputs of one tile and sixteen channels.
    ///
    /// # Safety
    /// As [`Products::pixels`].
    #[inline(always)]
    unsafe fn outputs<V: Vector, const P: usize>(&self, from: usize) -> [[V; OUTPUTS]; OUTPUTS] {
        // SAFETY: as this function's.
        unsafe {
            let mut rows = [[V::zero(); P]; OUTPUTS];
            for c in 0..P {
                let mut products = [V::zero(); P];
                for (r, product) in products.iter_mut().enumerate() {
                    *product = V::load(self.m, (r * P + c) * self.stride + from);
                }
                for (row, value) in rows.iter_mut().zip(W::output(products)) {
                    row[c] = value;
                }
            }
            let mut outputs = [[V::zero(); OUTPUTS]; OUTPUTS];
            for (outputs, &row) in outputs.iter_mut().zip(&rows) {
                *outputs = W::output(row);
            }
            outputs
        }
    }
}
