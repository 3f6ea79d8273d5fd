//! Which points go with which factors.

use super::transforms::OUTPUTS;
use super::{rounded, transforms};
use crate::factors::Word;
use crate::vector::Vector;

/// Words of transforms, and the transforms that are right for them.
pub(super) trait Scheme: Word {
    /// `G`: row `point`, column `tap` of a filter of `taps` taps.
    fn filter_matrix(taps: usize) -> Vec<Vec<f32>>;

    /// `B^T d`.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn input<V: Vector, const P: usize>(d: [V; P]) -> [V; P];

    /// `A^T m`.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn output<V: Vector, const P: usize>(m: [V; P]) -> [V; OUTPUTS];
}

impl Scheme for f32 {
    fn filter_matrix(taps: usize) -> Vec<Vec<f32>> {
        transforms::filter_matrix(taps)
    }

    #[inline(always)]
    unsafe fn input<V: Vector, const P: usize>(d: [V; P]) -> [V; P] {
        // SAFETY: as this function's.
        unsafe { transforms::input(d) }
    }

    #[inline(always)]
    unsafe fn output<V: Vector, const P: usize>(m: [V; P]) -> [V; OUTPUTS] {
        // SAFETY: as this function's.
        unsafe { transforms::output(m) }
    }
}

/// Pairs of bf16, of kernels of 3 alone.
impl Scheme for u32 {
    fn filter_matrix(taps: usize) -> Vec<Vec<f32>> {
        assert_eq!(taps, 3, "taps of a filter in pairs of bf16");
        rounded::filter_matrix()
    }

    #[inline(always)]
    unsafe fn input<V: Vector, const P: usize>(d: [V; P]) -> [V; P] {
        // SAFETY: as this function's.
        unsafe { rounded::input(d) }
    }

    #[inline(always)]
    unsafe fn output<V: Vector, const P: usize>(m: [V; P]) -> [V; OUTPUTS] {
        // SAFETY: as this function's.
        unsafe { rounded::output(m) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{LANES, Portable};

    /// `y_i = sum over t of g_t d_(i + t)`, whichever one input and one tap are 1: the scheme's definition.
    #[test]
    fn transforms_filter() {
        fn all<W: Scheme, const P: usize, const TAPS: usize>() {
            let matrix = W::filter_matrix(TAPS);
            for at in 0..P {
                for tap in 0..TAPS {
                    // SAFETY: every processor has what `Portable` uses.
                    let y = unsafe {
                        let mut d = [Portable::zero(); P];
                        d[at] = Portable::splat(1.0);
                        let mut m = W::input(d);
                        for (m, row) in m.iter_mut().zip(&matrix) {
                            *m = m.mul(Portable::splat(row[tap]));
                        }
                        W::output(m).map(|y| {
                            let mut values = [0.0; LANES];
                            y.store(&mut values, 0);
                            values[0]
                        })
                    };
                    for (i, y) in y.into_iter().enumerate() {
                        let expected = f32::from(u8::from(i + tap == at));
                        assert!((y - expected).abs() < 3e-6, "F(4, {TAPS}): {at} {tap} {i}: {y}");
                    }
                }
            }
        }
        all::<f32, 6, 3>();
        all::<f32, 8, 5>();
        all::<u32, 6, 3>();
    }
}
