//! Two registers of eight values.

use std::arch::x86_64::*;

use super::super::{LANES, Vector};
use super::{QUIET, UPPER, prefetch};
use crate::bf16::SMALLEST;

/// Makes columns of eight rows.
///
/// # Safety
/// The processor has AVX.
#[inline(always)]
unsafe fn transpose_eight(rows: &mut [__m256; 8]) {
    // SAFETY: AVX by this function's contract.
    unsafe {
        // Lane k of number `first + j`: column 4 k + j of the four rows from `first` on.
        let mut fours = [_mm256_setzero_ps(); 8];
        for first in [0, 4] {
            let (a, b, c, d) = (rows[first], rows[first + 1], rows[first + 2], rows[first + 3]);
            let low = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let high = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            fours[first] = _mm256_shuffle_ps::<0x44>(low.0, low.1);
            fours[first + 1] = _mm256_shuffle_ps::<0xee>(low.0, low.1);
            fours[first + 2] = _mm256_shuffle_ps::<0x44>(high.0, high.1);
            fours[first + 3] = _mm256_shuffle_ps::<0xee>(high.0, high.1);
        }
        for j in 0..4 {
            rows[j] = _mm256_permute2f128_ps::<0x20>(fours[j], fours[4 + j]);
            rows[4 + j] = _mm256_permute2f128_ps::<0x31>(fours[j], fours[4 + j]);
        }
    }
}

/// Each lane's bf16, as [`crate::bf16::round`] has it, in the lower half of the lane.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn round_eight(values: __m256) -> __m256i {
    // SAFETY: AVX2 by this function's contract.
    unsafe {
        let bits = _mm256_castps_si256(values);
        let size = _mm256_and_si256(bits, _mm256_set1_epi32(i32::MAX));
        let small = _mm256_cmpgt_epi32(_mm256_set1_epi32(SMALLEST as i32), size);
        let bits = _mm256_andnot_si256(_mm256_and_si256(small, size), bits);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(values, values));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(QUIET));
        _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan))
    }
}

/// The lower and the upper eight values.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256, __m256);

// SAFETY of the blocks below: AVX2 and FMA by the trait's contract; places by the caller's promise.
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
impl Vector for Avx2 {
    const ROWS: usize = 6;
    const PANEL: usize = 1;
    const PAIR_ROWS: usize = 6;
    type Pairs = [__m256i; 2];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> Self {
        debug_assert!(at + LANES <= values.len(), "{at} of {}", values.len());
        unsafe {
            let from = values.as_ptr().add(at);
            Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, values: &mut [f32], at: usize) {
        debug_assert!(at + LANES <= values.len(), "{at} of {}", values.len());
        unsafe {
            let to = values.as_mut_ptr().add(at);
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe {
            Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1))
        }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn above(self, other: Self) -> u16 {
        unsafe {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.1, other.1));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    unsafe fn nan(self) -> u16 {
        unsafe {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(self.1, self.1));
            (low | high << 8) as u16
        }
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u16) -> Self {
        unsafe {
            let places = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let lanes = |bits: u16| {
                let set = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), places);
                _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, places))
            };
            Self(_mm256_and_ps(self.0, lanes(bits)), _mm256_and_ps(self.1, lanes(bits >> 8)))
        }
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        unsafe {
            // Quarters of eight by eight, from the left, from the upper eight rows first.
            let mut quarters = [[_mm256_setzero_ps(); 8]; 4];
            for i in 0..8 {
                quarters[0][i] = rows[i].0;
                quarters[1][i] = rows[i].1;
                quarters[2][i] = rows[8 + i].0;
                quarters[3][i] = rows[8 + i].1;
            }
            for quarter in &mut quarters {
                transpose_eight(quarter);
            }
            for i in 0..8 {
                rows[i] = Self(quarters[0][i], quarters[2][i]);
                rows[8 + i] = Self(quarters[1][i], quarters[3][i]);
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(values: &[f32], at: usize) {
        prefetch(values, at);
    }

    #[inline(always)]
    unsafe fn splat_pair(word: u32) -> Self::Pairs {
        unsafe { [_mm256_set1_epi32(word as i32); 2] }
    }

    #[inline(always)]
    unsafe fn load_pairs(words: &[u32], at: usize) -> Self::Pairs {
        debug_assert!(at + LANES <= words.len(), "{at} of {}", words.len());
        unsafe {
            let from = words.as_ptr().add(at);
            [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(8).cast())]
        }
    }

    #[inline(always)]
    unsafe fn store_pairs(lower: Self, upper: Self, words: &mut [u32], at: usize) {
        debug_assert!(at + LANES <= words.len(), "{at} of {}", words.len());
        unsafe {
            let to = words.as_mut_ptr().add(at);
            let first = _mm256_slli_epi32::<16>(round_eight(upper.0));
            let second = _mm256_slli_epi32::<16>(round_eight(upper.1));
            _mm256_storeu_si256(to.cast(), _mm256_or_si256(round_eight(lower.0), first));
            _mm256_storeu_si256(to.add(8).cast(), _mm256_or_si256(round_eight(lower.1), second));
        }
    }

    #[inline(always)]
    unsafe fn store_rounded(self, words: &mut [u32], at: usize) {
        debug_assert!(at + LANES / 2 <= words.len(), "{at} of {}", words.len());
        unsafe {
            // Packing takes four lanes of either in turn.
            let packed = _mm256_packus_epi32(round_eight(self.0), round_eight(self.1));
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(words.as_mut_ptr().add(at).cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn lower(words: Self::Pairs) -> Self {
        unsafe {
            let [first, second] = words;
            let (first, second) = (_mm256_slli_epi32::<16>(first), _mm256_slli_epi32::<16>(second));
            Self(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second))
        }
    }

    #[inline(always)]
    unsafe fn upper(words: Self::Pairs) -> Self {
        unsafe {
            let ([first, second], halves) = (words, _mm256_set1_epi32(UPPER));
            let (first, second) = (_mm256_and_si256(first, halves), _mm256_and_si256(second, halves));
            Self(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second))
        }
    }
}
