//! The one-dimensional transforms of Winograd's minimal filtering with `P` points: 0, 1, -1, 2, -2 and infinity, and with
//! eight points 1/2 and -1/2 too (Lavin and Gray 2016, section 4.3; Toom and Cook's scheme in general).
//!
//! For [`OUTPUTS`] outputs of a filter of `P - 3` taps, `y = A^T [(G g) * (B^T d)]` with `P` inputs `d`. `A` and `G` are
//! powers of the points. Six points are F(4, 3), eight F(4, 5).
//!
//! Rounding: `B` and `A` have entries up to 8 (their powers), so errors of the products grow about tenfold over a
//! plain sum. They stay relative to the largest values of a tile, which is what the tests of this folder bound. Eight points
//! are not worse than six, because 2 and 1/2 are as far from 1; with 1/4 or 3/2 in their place errors double or worse.

use crate::vector::Vector;

/// Outputs of a tile in each dimension.
pub(super) const OUTPUTS: usize = 4;

/// Points but infinity, each with the scale that `G` has there: what makes the rows of `B` small numbers.
const SIX: [(f64, f64); 5] =
    [(0.0, 1.0 / 4.0), (1.0, -1.0 / 6.0), (-1.0, -1.0 / 6.0), (2.0, 1.0 / 24.0), (-2.0, 1.0 / 24.0)];

const EIGHT: [(f64, f64); 7] = [
    (0.0, 1.0),
    (1.0, -2.0 / 9.0),
    (-1.0, -2.0 / 9.0),
    (2.0, 1.0 / 90.0),
    (-2.0, 1.0 / 90.0),
    (0.5, 32.0 / 45.0),
    (-0.5, 32.0 / 45.0),
];

/// Points, and products a dimension, for a filter of `taps` taps.
pub(super) const fn points(taps: usize) -> usize {
    taps + OUTPUTS - 1
}

/// `G`: row `point`, column `tap` of a filter of `taps` taps.
pub(super) fn filter_matrix(taps: usize) -> Vec<Vec<f32>> {
    let finite = if points(taps) == 6 { &SIX[..] } else { &EIGHT[..] };
    let mut rows: Vec<Vec<f32>> = finite
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
pub(super) unsafe fn input<V: Vector, const P: usize>(d: [V; P]) -> [V; P] {
    let mut v = d;
    // SAFETY: as this function's.
    unsafe {
        if P == 6 {
            let (two, four) = (V::splat(2.0), V::splat(4.0));
            let (minus_two, minus_four, minus_five) = (V::splat(-2.0), V::splat(-4.0), V::splat(-5.0));
            let even = minus_four.mul_add(d[2], d[4]);
            let odd = minus_four.mul_add(d[1], d[3]);
            let (outer_even, outer_odd) = (d[4].sub(d[2]), d[3].sub(d[1]));
            v[0] = four.mul_add(d[0], minus_five.mul_add(d[2], d[4]));
            (v[1], v[2]) = (even.add(odd), even.sub(odd));
            v[3] = two.mul_add(outer_odd, outer_even);
            v[4] = minus_two.mul_add(outer_odd, outer_even);
            v[5] = four.mul_add(d[1], minus_five.mul_add(d[3], d[5]));
        } else {
            let (half, two, four, five) = (V::splat(0.5), V::splat(2.0), V::splat(4.0), V::splat(-5.0));
            let (quarters5, quarters10) = (V::splat(-1.25), V::splat(-2.5));
            let (quarters17, quarters21) = (V::splat(-4.25), V::splat(5.25));
            v[0] = quarters21.mul_add(d[4].sub(d[2]), d[0].sub(d[6]));
            v[7] = quarters21.mul_add(d[3].sub(d[5]), d[7].sub(d[1]));
            let even = quarters17.mul_add(d[4], d[2].add(d[6]));
            let odd = quarters17.mul_add(d[3], d[1].add(d[5]));
            (v[1], v[2]) = (even.add(odd), even.sub(odd));
            let even = V::splat(0.25).mul_add(d[2], quarters5.mul_add(d[4], d[6]));
            let middle = quarters10.mul(d[3]);
            let odd = half.mul_add(d[1], two.mul_add(d[5], middle));
            (v[3], v[4]) = (even.add(odd), even.sub(odd));
            let even = four.mul_add(d[2], five.mul_add(d[4], d[6]));
            let odd = two.mul_add(d[1], half.mul_add(d[5], middle));
            (v[5], v[6]) = (even.add(odd), even.sub(odd));
        }
    }
    v
}

/// `A^T m`.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const P: usize>(m: [V; P]) -> [V; OUTPUTS] {
    // SAFETY: as this function's.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (sum2, difference2) = (m[3].add(m[4]), m[3].sub(m[4]));
        let [two, four, eight] = [2.0, 4.0, 8.0].map(|power| V::splat(power));
        let mut y = [
            m[0].add(sum.add(sum2)),
            two.mul_add(difference2, difference),
            four.mul_add(sum2, sum),
            eight.mul_add(difference2, difference),
        ];
        if P == 8 {
            let (sum, difference) = (m[5].add(m[6]), m[5].sub(m[6]));
            y[0] = y[0].add(sum);
            y[1] = V::splat(0.5).mul_add(difference, y[1]);
            y[2] = V::splat(0.25).mul_add(sum, y[2]);
            y[3] = V::splat(0.125).mul_add(difference, y[3]);
        }
        y[3] = y[3].add(m[P - 1]);
        y
    }
}

/// `A y`: the adjoint of [`output`], for the gradient on the weights.
///
/// # Safety
/// The processor has the instruction set of `V`.
#[inline(always)]
pub(super) unsafe fn output_adjoint<V: Vector, const P: usize>(y: [V; OUTPUTS]) -> [V; P] {
    // SAFETY: as this function's.
    unsafe {
        let mut m = [V::zero(); P];
        (m[0], m[P - 1]) = (y[0], y[3]);
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        (m[1], m[2]) = (even.add(odd), even.sub(odd));
        let even = V::splat(4.0).mul_add(y[2], y[0]);
        let odd = V::splat(8.0).mul_add(y[3], V::splat(2.0).mul(y[1]));
        (m[3], m[4]) = (even.add(odd), even.sub(odd));
        if P == 8 {
            let even = V::splat(0.25).mul_add(y[2], y[0]);
            let odd = V::splat(0.125).mul_add(y[3], V::splat(0.5).mul(y[1]));
            (m[5], m[6]) = (even.add(odd), even.sub(odd));
        }
        m
    }
}
