//! `U = G g G^T`: the transform of the weights, and its adjoint for their gradient.

use super::transforms::filter_matrix;
use super::{Geometry, Tiling};
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::panels::Panels;
use crate::vector::{Kernel, LANES, Vector, run};

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
    pub(super) fn new(isa: Isa, g: &Geometry, weights: &[f32]) -> Self {
        g.check_weights(weights.len());
        let tiling = Tiling::new(g);
        if tiling.per_image() == 1 && tiling.products() * g.in_channels * g.out_channels > MANY {
            return Self::Given(Aligned::from(weights));
        }
        let mut products = Panels::stack(isa, tiling.products(), g.in_channels, g.out_channels);
        transform(isa, g, weights, 0, &mut products);
        Self::Ready(products)
    }
}

/// Fills `products` with the transforms of the output channels from vector `first` on.
pub(super) fn transform(isa: Isa, g: &Geometry, weights: &[f32], first: usize, products: &mut Panels) {
    let matrix = filter_matrix(g.kernel);
    run(isa, Transform { g, weights, matrix: &matrix, first, products });
}

struct Transform<'a> {
    g: &'a Geometry,
    weights: &'a [f32],
    matrix: &'a [Vec<f32>],
    first: usize,
    products: &'a mut Panels,
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: as this function's.
        unsafe {
            match self.g.kernel {
                3 => self.all::<V, 3, 6>(),
                _ => self.all::<V, 5, 8>(),
            }
        }
    }
}

impl Transform<'_> {
    /// # Safety
    /// The processor has the instruction set of `V`; `K` is the kernel's side, `P` its number of points.
    #[inline(always)]
    unsafe fn all<V: Vector, const K: usize, const P: usize>(self) {
        let plane = self.g.in_channels * self.g.out_channels;
        for c in 0..self.g.in_channels {
            for vector in 0..self.products.columns() / LANES {
                let from = c * self.g.out_channels + (self.first + vector) * LANES;
                let place = self.products.place(c, vector);
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
                    for (r, row) in rows.into_iter().enumerate() {
                        for (c, factors) in self.matrix.iter().enumerate() {
                            let product = (r * P + c) * self.products.len();
                            weighted(row, factors).store(self.products.values_mut(), product + place);
                        }
                    }
                }
            }
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
        let weights: Vec<f32> =
            (0..g.taps() * 80).map(|i| ((i * 7919 % 2003) as f32 / 1001.5) - 1.0).collect();
        for isa in Isa::available() {
            let Weights::Ready(all) = Weights::new(isa, &g, &weights) else { panic!("few weights") };
            let mut some = Panels::stack(isa, 0, 0, 0);
            for first in (0..5).step_by(isa.panel_vectors()) {
                let vectors = isa.panel_vectors().min(5 - first);
                some.reshape(isa, 36, 32, vectors * LANES);
                transform(isa, &g, &weights, first, &mut some);
                for product in 0..36 {
                    for (row, vector) in (0..32).flat_map(|row| (0..vectors).map(move |v| (row, v))) {
                        let values = |panels: &Panels, vector| {
                            let at = product * panels.len() + panels.place(row, vector);
                            panels.values()[at..at + LANES].to_vec()
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
            matches!(Weights::new(Isa::PORTABLE, &g, &vec![0.0; g.taps() * channels]), Weights::Given(_))
        };
        assert_eq!(
            [(4, 512), (8, 256), (4, 64)].map(|(side, channels)| kept(side, channels)),
            [true, false, false]
        );
    }
}
