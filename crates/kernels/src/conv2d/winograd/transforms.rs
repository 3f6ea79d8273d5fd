//! The one-dimensional transforms of Winograd's minimal filtering with six points: 0, 1, -1, 2, -2 and infinity
//! (Lavin and Gray 2016, section 4.3; Toom and Cook's scheme in general).
//!
//! For `M` outputs of a filter of `7 - M` taps, `y = A^T [(G g) * (B^T d)]` with six inputs `d`. `B` is the same for
//! every `M`; `A` and `G` are powers of the points. `M = 4` is F(4, 3), `M = 2` is F(2, 5).
//!
//! Rounding: `B` and `A` have entries up to 8 (their powers), so errors of the products grow about tenfold over a
//! plain sum. They stay relative to the largest values of a tile, which is what the tests of this folder bound.

use crate::vector::Vector;

/// Points, and products a dimension.
pub(super) const POINTS: usize = 6;

/// Points but infinity, each with the scale that `G` has there.
const FINITE: [(f64, f64); 5] =
    [(0.0, 1.0 / 4.0), (1.0, -1.0 / 6.0), (-1.0, -1.0 / 6.0), (2.0, 1.0 / 24.0), (-2.0, 1.0 / 24.0)];

/// `G`: row `point`, column `tap` of a filter of `taps` taps.
pub(super) fn filter_matrix(taps: usize) -> Vec<Vec<f32>> {
    let mut rows: Vec<Vec<f32>> = FINITE
        .iter()
        .map(|(point, scale)| (0..taps).map(|tap| (scale * point.powi(tap as i32)) as f32).collect())
        .collect();
    rows.push((0..taps).map(|tap| f32::from(u8::from(tap + 1 == taps))).collect());
    rows
}

/// `B^T d`.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn input<V: Vector>(d: [V; POINTS]) -> [V; POINTS] {
    // SAFETY: as this function's.
    unsafe {
        let (two, four) = (V::splat(2.0), V::splat(4.0));
        let (minus_two, minus_four, minus_five) = (V::splat(-2.0), V::splat(-4.0), V::splat(-5.0));
        let even = minus_four.mul_add(d[2], d[4]);
        let odd = minus_four.mul_add(d[1], d[3]);
        let (outer_even, outer_odd) = (d[4].sub(d[2]), d[3].sub(d[1]));
        [
            four.mul_add(d[0], minus_five.mul_add(d[2], d[4])),
            even.add(odd),
            even.sub(odd),
            two.mul_add(outer_odd, outer_even),
            minus_two.mul_add(outer_odd, outer_even),
            four.mul_add(d[1], minus_five.mul_add(d[3], d[5])),
        ]
    }
}

/// `A^T m`: the first `M` outputs.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const M: usize>(m: [V; POINTS]) -> [V; M] {
    // SAFETY: as this function's.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
        let mut y = [m[0].add(sum.add(sum2)); M];
        for (at, y) in y.iter_mut().enumerate().skip(1) {
            let power = V::splat((1 << at) as f32);
            let odd = at % 2 == 1;
            *y = if odd { power.mul_add(difference2, difference) } else { power.mul_add(sum2, sum) };
        }
        y[M - 1] = y[M - 1].add(m[5]);
        y
    }
}

/// `A y`: the adjoint of [`output`], for the gradient on the weights.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn output_adjoint<V: Vector, const M: usize>(y: [V; M]) -> [V; POINTS] {
    // SAFETY: as this function's.
    unsafe {
        let (mut even, mut odd, mut even2, mut odd2) = (y[0], y[1], y[0], V::splat(2.0).mul(y[1]));
        if M == 4 {
            even = even.add(y[2]);
            even2 = V::splat(4.0).mul_add(y[2], even2);
            odd = odd.add(y[3]);
            odd2 = V::splat(8.0).mul_add(y[3], odd2);
        }
        [y[0], even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), y[M - 1]]
    }
}
