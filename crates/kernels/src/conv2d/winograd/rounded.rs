//! The one-dimensional transforms of F(4, 3) for products of factors rounded to bf16: the points 0, 5/8, -5/8, 3/2, -3/2 and infinity.
//!
//! What is rounded are the transformed inputs and weights, and what they lose the output's transform multiplies. With the points of
//! [`super::transforms`] a layer has 2 to 3% of error, with these about 1%: of all pairs they are nearly the best, and all their powers are exact
//! in f32. Three multiplications more for the outputs is what they cost.

use super::transforms::OUTPUTS;
use crate::vector::Vector;

/// The points next to 0 and infinity.
const A: f64 = 0.625;
const B: f64 = 1.5;

/// `G`: row `point`, column `tap` of a filter of three taps.
pub(super) fn filter_matrix() -> Vec<Vec<f32>> {
    let (a, b) = (A * A, B * B);
    let near = 0.5 / (a * (a - b));
    let far = 0.5 / (b * (b - a));
    let finite = [(0.0, 1.0 / (a * b)), (A, near), (-A, near), (B, far), (-B, far)];
    let row =
        |(point, scale): (f64, f64)| [1.0, point, point * point].map(|power| (scale * power) as f32).to_vec();
    let mut rows: Vec<Vec<f32>> = finite.map(row).to_vec();
    rows.push(vec![0.0, 0.0, 1.0]);
    rows
}

/// `B^T d`, for `P = 6`.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn input<V: Vector, const P: usize>(d: [V; P]) -> [V; P] {
    let mut v = d;
    // SAFETY: as this function's.
    unsafe {
        let (near, minus_near) = (V::splat(A as f32), V::splat(-A as f32));
        let (far, minus_far) = (V::splat(B as f32), V::splat(-B as f32));
        let (near_square, far_square) = (V::splat((-A * A) as f32), V::splat((-B * B) as f32));
        let (product, sum) = (V::splat((A * A * B * B) as f32), V::splat((-A * A - B * B) as f32));
        let (even, odd) = (far_square.mul_add(d[2], d[4]), far_square.mul_add(d[1], d[3]));
        let (even2, odd2) = (near_square.mul_add(d[2], d[4]), near_square.mul_add(d[1], d[3]));
        v[0] = product.mul_add(d[0], sum.mul_add(d[2], d[4]));
        (v[1], v[2]) = (near.mul_add(odd, even), minus_near.mul_add(odd, even));
        (v[3], v[4]) = (far.mul_add(odd2, even2), minus_far.mul_add(odd2, even2));
        v[5] = product.mul_add(d[1], sum.mul_add(d[3], d[5]));
    }
    v
}

/// `A^T m`, for `P = 6`.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const P: usize>(m: [V; P]) -> [V; OUTPUTS] {
    // SAFETY: as this function's.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
        let (near, near2, near3) =
            (V::splat(A as f32), V::splat((A * A) as f32), V::splat((A * A * A) as f32));
        let (far, far2, far3) = (V::splat(B as f32), V::splat((B * B) as f32), V::splat((B * B * B) as f32));
        [
            m[0].add(sum.add(sum2)),
            far.mul_add(difference2, near.mul(difference)),
            far2.mul_add(sum2, near2.mul(sum)),
            far3.mul_add(difference2, near3.mul_add(difference, m[5])),
        ]
    }
}
