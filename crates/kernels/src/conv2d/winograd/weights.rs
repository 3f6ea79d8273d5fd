//! `U = G g G^T`: the transform of the weights, and its adjoint for their gradient.

use std::marker::PhantomData;

use super::scheme::Scheme;
use super::{Geometry, Tiling};
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::panels::Panels;
use crate::vector::{Kernel, LANES, Vector};

/// The weights of a layer for its products.
#[derive(Debug)]
pub(super) enum Weights {
    /// Transformed and packed, matrices `[in, out]`.
    Ready(Panels),
    /// As they were given, and transformed some columns at a time for each pass: a quarter of the memory, for time.
    Given(Aligned),
}

/// Transformed weights of images of one tile, in values, from which on they are made when they are needed: 64 MB. From 4 MB
/// on, a training step of `resnet18` took 9.5 instead of 7.4 s, for a tenth less memory. Small in tests, which reach it so.
const MANY: usize = if cfg!(test) { 1 << 20 } else { 1 << 24 };

impl Weights {
    /// Of weights `[kernel, kernel, in, out]`.
    pub(super) fn new<W: Scheme>(isa: Isa, g: &Geometry, weights: &[f32]) -> Self {
        g.check_weights(weights.len());
        let tiling = Tiling::new(g);
        if tiling.per_image() == 1 && tiling.products() * g.in_channels * g.out_channels > MANY {
            return Self::Given(Aligned::from(weights));
        }
        let mut products =
            Panels::stack::<W>(isa, tiling.products(), g.in_channels / W::WIDE, g.out_channels);
        transform::<W>(isa, g, weights, 0, &mut products);
        Self::Ready(products)
    }
}

/// Fills `products` with the transforms of the output channels from vector `first` on.
pub(super) fn transform<W: Scheme>(
    isa: Isa,
    g: &Geometry,
    weights: &[f32],
    first: usize,
    products: &mut Panels,
) {
    let matrix = W::filter_matrix(g.kernel);
    W::run(isa, Transform { g, weights, matrix: &matrix, first, products, words: PhantomData::<W> });
}

struct Transform<'a, W> {
    g: &'a Geometry,
    weights: &'a [f32],
    matrix: &'a [Vec<f32>],
    first: usize,
    products: &'a mut Panels,
    words: PhantomData<W>,
}

impl<W: Scheme> Kernel for Transform<'_, W> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: as this function's.
        unsafe {
            match self.g.kernel {
                3 => self.all::<V, 3, 6>(),
                side if W::WIDE > 1 => unreachable!("kernels of {side} are f32's alone"),
                _ => self.all::<V, 5, 8>(),
            }
        }
    }
}

impl<W: Scheme> Transform<'_, W> {
    /// # Safety
    /// The processor has the instruction set of `V`; `K` is the kernel's side, `P` its number of points.
    #[inline(always)]
    unsafe fn all<V: Vector, const K: usize, const P: usize>(self) {
        let (product, matrix) = (self.products.len(), self.matrix);
        for row in 0..self.g.in_channels / W::WIDE {
            for vector in 0..self.products.columns() / LANES {
                let place = self.products.place(row, vector);
                // SAFETY: as this function's; the channels exist.
                unsafe {
                    let first = self.rows::<V, K, P>(row * W::WIDE, vector);
                    let second =
                        if W::WIDE > 1 { self.rows::<V, K, P>(row * W::WIDE + 1, vector) } else { first };
                    let words = self.products.words_mut();
                    for r in 0..P {
                        for (c, factors) in matrix.iter().enumerate() {
                            let lower = weighted(first[r], factors);
                            let upper = if W::WIDE > 1 { weighted(second[r], factors) } else { lower };
                            W::store_rows([lower, upper], words, (r * P + c) * product + place);
                        }
                    }
                }
            }
        }
    }

    /// `G g` for input channel `c` and a vector of output channels.
    ///
    /// # Safety
    /// As [`Transform::all`]; the channels exist.
    #[inline(always)]
    unsafe fn rows<V: Vector, const K: usize, const P: usize>(&self, c: usize, vector: usize) -> [[V; K]; P] {
        let plane = self.g.in_channels * self.g.out_channels;
        let from = c * self.g.out_channels + (self.first + vector) * LANES;
        // SAFETY: as this function's; every tap has `plane` weights.
        unsafe {
            let mut rows = [[V::zero(); K]; P];
            for v in 0..K {
                let mut column = [V::zero(); K];
                for (u, weights) in column.iter_mut().enumerate() {
                    *weights = V::load(self.weights, (u * K + v) * plane + from);
                }
                for (row, factors) in rows.iter_mut().zip(self.matrix) {
                    row[v] = weighted(column, factors);
                }
            }
            rows
        }
    }
}

/// The sum of `values` times `factors`.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn weighted<V: Vector, const K: usize>(values: [V; K], factors: &[f32]) -> V {
    // SAFETY: as this function's.
    unsafe {
        let mut sum = V::zero();
        for (value, &factor) in values.into_iter().zip(factors) {
            sum = V::splat(factor).mul_add(value, sum);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_transformed_alone_as_among_others() {
        let g =
            Geometry { input: [4, 4], in_channels: 32, out_channels: 80, kernel: 3, stride: 1, padding: 1 };
        alone_as_among_others::<f32>(&g);
        alone_as_among_others::<u32>(&g);
    }

    fn alone_as_among_others<W: Scheme + PartialEq + std::fmt::Debug>(g: &Geometry) {
        let weights: Vec<f32> =
            (0..g.taps() * 80).map(|i| ((i * 7919 % 2003) as f32 / 1001.5) - 1.0).collect();
        let rows = 32 / W::WIDE;
        for isa in Isa::available() {
            let Weights::Ready(all) = Weights::new::<W>(isa, g, &weights) else { panic!("few weights") };
            let mut some = Panels::stack::<W>(isa, 0, 0, 0);
            for first in (0..5).step_by(isa.panel_vectors()) {
                let vectors = isa.panel_vectors().min(5 - first);
                some.reshape::<W>(isa, 36, rows, vectors * LANES);
                transform::<W>(isa, g, &weights, first, &mut some);
                for product in 0..36 {
                    for (row, vector) in (0..rows).flat_map(|row| (0..vectors).map(move |v| (row, v))) {
                        let values = |panels: &Panels, vector| {
                            let at = product * panels.len() + panels.place(row, vector);
                            panels.words::<W>()[at..at + LANES].to_vec()
                        };
                        assert_eq!(values(&some, vector), values(&all, first + vector), "{isa:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn large_weights_of_small_images_are_kept_as_they_are() {
        let kept = |side: usize, channels: usize| {
            let g = Geometry {
                input: [side; 2],
                in_channels: channels,
                out_channels: channels,
                kernel: 3,
                stride: 1,
                padding: 1,
            };
            matches!(
                Weights::new::<f32>(Isa::PORTABLE, &g, &vec![0.0; g.taps() * channels]),
                Weights::Given(_)
            )
        };
        assert_eq!(
            [(4, 512), (8, 256), (4, 64)].map(|(side, channels)| kept(side, channels)),
            [true, false, false]
        );
    }
}
