//! One register of sixteen values.

use std::arch::x86_64::*;

use super::super::{LANES, Vector};
use super::{QUIET, UPPER, prefetch};
use crate::bf16::SMALLEST;

/// Each lane's bf16, as [`crate::bf16::round`] has it, in the lower half of the lane.
///
/// # Safety
/// The processor has AVX-512F.
#[inline(always)]
unsafe fn round_sixteen(values: __m512) -> __m512i {
    // SAFETY: AVX-512F by this function's contract.
    unsafe {
        let bits = _mm512_castps_si512(values);
        let size = _mm512_and_si512(bits, _mm512_set1_epi32(i32::MAX));
        let small = _mm512_cmplt_epi32_mask(size, _mm512_set1_epi32(SMALLEST as i32));
        let bits = _mm512_mask_and_epi32(bits, small, bits, _mm512_set1_epi32(i32::MIN));
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
        let rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(QUIET));
        _mm512_srli_epi32::<16>(rounded)
    }
}

/// AVX-512F, and with `DOT` the instruction for two multiply-adds of bf16, whose words otherwise are taken apart.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const DOT: bool>(__m512);

// SAFETY of the blocks below: AVX-512F by the trait's contract; places by the caller's promise.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
impl<const DOT: bool> Vector for Avx512<DOT> {
    const ROWS: usize = 14;
    const PANEL: usize = 2;
    // Taken apart, words need registers that sums then lack.
    const PAIR_ROWS: usize = if DOT { 14 } else { 12 };
    type Pairs = __m512i;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> Self {
        debug_assert!(at + LANES <= values.len(), "{at} of {}", values.len());
        unsafe { Self(_mm512_loadu_ps(values.as_ptr().add(at))) }
    }

    #[inline(always)]
    unsafe fn store(self, values: &mut [f32], at: usize) {
        debug_assert!(at + LANES <= values.len(), "{at} of {}", values.len());
        unsafe { _mm512_storeu_ps(values.as_mut_ptr().add(at), self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(_mm512_max_ps(self.0, other.0)) }
    }

    #[inline(always)]
    unsafe fn above(self, other: Self) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0) }
    }

    #[inline(always)]
    unsafe fn nan(self) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) }
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u16) -> Self {
        unsafe { Self(_mm512_maskz_mov_ps(bits, self.0)) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        unsafe {
            // Lane k of number `first + j`: column 4 k + j of the four rows from `first` on.
            let mut fours = [_mm512_setzero_ps(); LANES];
            for first in [0, 4, 8, 12] {
                let (a, b) = (rows[first].0, rows[first + 1].0);
                let (c, d) = (rows[first + 2].0, rows[first + 3].0);
                let low =
                    (_mm512_castps_pd(_mm512_unpacklo_ps(a, b)), _mm512_castps_pd(_mm512_unpacklo_ps(c, d)));
                let high =
                    (_mm512_castps_pd(_mm512_unpackhi_ps(a, b)), _mm512_castps_pd(_mm512_unpackhi_ps(c, d)));
                fours[first] = _mm512_castpd_ps(_mm512_unpacklo_pd(low.0, low.1));
                fours[first + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low.0, low.1));
                fours[first + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high.0, high.1));
                fours[first + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high.0, high.1));
            }
            for j in 0..4 {
                // Four by four lanes: even and odd ones of the upper and of the lower eight rows, then of all.
                let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
                let even = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d));
                let odd = (_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d));
                rows[j] = Self(_mm512_shuffle_f32x4::<0x88>(even.0, even.1));
                rows[4 + j] = Self(_mm512_shuffle_f32x4::<0x88>(odd.0, odd.1));
                rows[8 + j] = Self(_mm512_shuffle_f32x4::<0xdd>(even.0, even.1));
                rows[12 + j] = Self(_mm512_shuffle_f32x4::<0xdd>(odd.0, odd.1));
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(values: &[f32], at: usize) {
        prefetch(values, at);
    }

    #[inline(always)]
    unsafe fn splat_pair(word: u32) -> __m512i {
        unsafe { _mm512_set1_epi32(word as i32) }
    }

    #[inline(always)]
    unsafe fn load_pairs(words: &[u32], at: usize) -> __m512i {
        debug_assert!(at + LANES <= words.len(), "{at} of {}", words.len());
        unsafe { _mm512_loadu_si512(words.as_ptr().add(at).cast()) }
    }

    #[inline(always)]
    unsafe fn store_pairs(lower: Self, upper: Self, words: &mut [u32], at: usize) {
        debug_assert!(at + LANES <= words.len(), "{at} of {}", words.len());
        unsafe {
            let upper = _mm512_slli_epi32::<16>(round_sixteen(upper.0));
            let pairs = _mm512_or_si512(round_sixteen(lower.0), upper);
            _mm512_storeu_si512(words.as_mut_ptr().add(at).cast(), pairs);
        }
    }

    #[inline(always)]
    unsafe fn store_rounded(self, words: &mut [u32], at: usize) {
        debug_assert!(at + LANES / 2 <= words.len(), "{at} of {}", words.len());
        unsafe {
            let halves = _mm512_cvtepi32_epi16(round_sixteen(self.0));
            _mm256_storeu_si256(words.as_mut_ptr().add(at).cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn lower(words: __m512i) -> Self {
        unsafe { Self(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))) }
    }

    #[inline(always)]
    unsafe fn upper(words: __m512i) -> Self {
        unsafe { Self(_mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(UPPER)))) }
    }

    #[inline(always)]
    unsafe fn mul_add_pairs(x: __m512i, columns: __m512i, sums: Self) -> Self {
        unsafe {
            if DOT {
                let x = std::mem::transmute::<__m512i, __m512bh>(x);
                let columns = std::mem::transmute::<__m512i, __m512bh>(columns);
                return Self(_mm512_dpbf16_ps(sums.0, x, columns));
            }
            let sums = Self::upper(x).mul_add(Self::upper(columns), sums);
            Self::lower(x).mul_add(Self::lower(columns), sums)
        }
    }
}
