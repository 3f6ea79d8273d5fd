//! `U = G g G^T`: the transform of the weights, and its adjoint for their gradient.

use super::transforms::{POINTS, filter_matrix};
use super::{Geometry, PRODUCTS};
use crate::isa::Isa;
use crate::panels::Panels;
use crate::vector::{Kernel, LANES, Vector, run};

/// The packed matrices `[in, out]` of the 36 products, from weights `[kernel, kernel, in, out]`.
pub(super) fn transform(isa: Isa, g: &Geometry, weights: &[f32]) -> Vec<Panels> {
    assert_eq!(weights.len(), g.taps() * g.out_channels, "weights of {g:?}");
    let mut products = vec![Panels::zeros(isa, g.in_channels, g.out_channels); PRODUCTS];
    let matrix = filter_matrix(g.kernel);
    run(isa, Transform { g, weights, matrix: &matrix, products: &mut products });
    products
}

struct Transform<'a> {
    g: &'a Geometry,
    weights: &'a [f32],
    matrix: &'a [Vec<f32>],
    products: &'a mut [Panels],
}

impl Kernel for Transform<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: as this function's.
        unsafe {
            match self.g.kernel {
                3 => self.all::<V, 3>(),
                _ => self.all::<V, 5>(),
            }
        }
    }
}

impl Transform<'_> {
    /// # Safety
    /// The processor has the instruction set of `V`; `K` is the kernel's side.
    #[inline(always)]
    unsafe fn all<V: Vector, const K: usize>(self) {
        let plane = self.g.in_channels * self.g.out_channels;
        for c in 0..self.g.in_channels {
            for vector in 0..self.g.out_channels / LANES {
                let from = c * self.g.out_channels + vector * LANES;
                let place = self.products[0].place(c, vector);
                // SAFETY: as this function's; every tap has `plane` weights.
                unsafe {
                    let mut rows = [[V::zero(); K]; POINTS];
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
                            let to = self.products[r * POINTS + c].values_mut();
                            weighted(row, factors).store(to, place);
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
