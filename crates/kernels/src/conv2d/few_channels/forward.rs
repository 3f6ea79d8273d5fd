//! The forward pass with rectifier and 2x2 max pooling, one row of windows at a time: the four sums of a window are in
//! registers when they are complete, and only the largest is written.
//!
//! Every sum is the same chain of multiply-adds as in [`crate::panels`], so pooling on the way or apart gives the same.

use super::{Geometry, pools};
use crate::epilogue::{PooledEpilogue, check_values};
use crate::layout::{Layout, Places};
use crate::panels::Panels;
use crate::vector::{Kernel, LANES, Vector, run};

/// Finishes the outputs of `images` images `x` (layout `from`) pooled 2x2 (layout `pooled`), for weights
/// `[kernel * kernel * in, out]`.
///
/// # Panics
/// If a layout or a slice does not fit, or [`pools`] says no.
pub(in super::super) fn run_pooled(
    g: &Geometry,
    weights: &Panels,
    x: &[f32],
    from: &Layout,
    images: usize,
    pooled: &Layout,
    mut epilogue: PooledEpilogue<'_>,
) {
    g.check();
    assert!(pools(g), "no pooling on the way through {g:?}");
    assert_eq!([weights.rows(), weights.columns()], [g.taps(), g.out_channels], "weights of {g:?}");
    g.check_input(from);
    g.check_pooled(pooled);
    assert!(from.halo >= g.padding, "{from:?} has a halo of less than the padding of {g:?}");
    let (from, pooled) = (&from.places(images), &pooled.places(images));
    check_values(x, from);
    epilogue.check(pooled);
    run(weights.isa(), Pooled { g, weights, x, from, images, pooled, epilogue: &mut epilogue });
}

struct Pooled<'a, 'b> {
    g: &'a Geometry,
    weights: &'a Panels,
    x: &'a [f32],
    from: &'a Places,
    images: usize,
    pooled: &'a Places,
    epilogue: &'a mut PooledEpilogue<'b>,
}

impl Kernel for Pooled<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        for image in 0..self.images {
            for row in 0..self.pooled.height {
                // SAFETY: the instruction set by this function's contract; `run_pooled` checked layouts and slices, and every
                // window has its pixels.
                unsafe {
                    match self.g.in_channels {
                        1 => self.row::<V, 1>(image, row),
                        3 => self.row::<V, 3>(image, row),
                        _ => self.row::<V, 0>(image, row),
                    }
                }
            }
        }
    }
}

impl Pooled<'_, '_> {
    /// One row of windows of images of `C` channels (0: of any number).
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the row exists.
    #[inline(always)]
    unsafe fn row<V: Vector, const C: usize>(&mut self, image: usize, row: usize) {
        let (width, vectors) = (self.pooled.width, self.g.out_channels / LANES);
        // SAFETY: as this function's.
        unsafe {
            for first in (0..vectors).step_by(V::PANEL) {
                // What the registers hold: 16 sums of AVX-512, 4 of others.
                if V::PANEL == 2 && vectors - first >= 2 {
                    let mut column = 0;
                    while column + 2 <= width {
                        self.windows::<V, C, 2, 2>(image, [row, column], first);
                        column += 2;
                    }
                    if column < width {
                        self.windows::<V, C, 1, 2>(image, [row, column], first);
                    }
                } else {
                    for column in 0..width {
                        self.windows::<V, C, 1, 1>(image, [row, column], first);
                    }
                }
            }
        }
    }

    /// `W` windows beside each other and `N` vectors of their channels.
    ///
    /// # Safety
    /// As [`Pooled::row`]; the windows and vectors exist.
    #[inline(always)]
    unsafe fn windows<V: Vector, const C: usize, const W: usize, const N: usize>(
        &mut self,
        image: usize,
        [row, column]: [usize; 2],
        first: usize,
    ) {
        let Self { g, weights, x, from, pooled, .. } = *self;
        let channels = if C == 0 { g.in_channels } else { C };
        let mut at = weights.place(0, first);
        let weights = weights.words::<f32>();
        let origin = from.pixel(2 * row, 2 * column) - g.padding * (from.row() + channels);
        let run = g.kernel * channels;
        // SAFETY: as this function's; the windows' inputs lie in the image and its halo, and the panel holds `taps` rows of
        // `N` vectors.
        unsafe {
            // Two rows of pixels, of each window the left and the right one.
            let mut sums = [[[[V::zero(); N]; 2]; W]; 2];
            for u in 0..g.kernel {
                let start = image * from.image() + origin + u * from.row();
                debug_assert!(start + from.row() + run + (2 * W - 1) * channels <= x.len());
                let rows = [x.as_ptr().add(start), x.as_ptr().add(start + from.row())];
                for k in 0..run {
                    let mut columns = [V::zero(); N];
                    for (v, columns) in columns.iter_mut().enumerate() {
                        *columns = V::load(weights, at + v * LANES);
                    }
                    at += N * LANES;
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        for (w, sums) in sums.iter_mut().enumerate() {
                            for (c, sums) in sums.iter_mut().enumerate() {
                                let x = V::splat(*row.add(k + (2 * w + c) * channels));
                                for (sum, column) in sums.iter_mut().zip(columns) {
                                    *sum = x.mul_add(column, *sum);
                                }
                            }
                        }
                    }
                }
            }
            let [above, below] = sums;
            for (w, ([a, b], [c, d])) in above.into_iter().zip(below).enumerate() {
                let place = image * pooled.image() + pooled.pixel(row, column + w);
                for v in 0..N {
                    let channel = (first + v) * LANES;
                    self.epilogue.put(place + channel, channel, [a[v], b[v], c[v], d[v]]);
                }
            }
        }
    }
}
