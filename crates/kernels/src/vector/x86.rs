//! Vectors of AVX-512 and AVX2.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Vector};
use crate::factors::SMALLEST;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function has all of these, and is called only where the processor has.
    unsafe { kernel.run::<Avx512<true>>() }
}

#[target_feature(enable = "avx512f")]
pub(super) fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function has AVX-512F, and is called only where the processor has.
    unsafe { kernel.run::<Avx512<false>>() }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function has AVX2 and FMA, and is called only where the processor has.
    unsafe { kernel.run::<Avx2>() }
}

#[inline(always)]
fn prefetch(values: &[f32], at: usize) {
    // SAFETY: a hint may name any address; SSE is part of every x86-64.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(values.as_ptr().wrapping_add(at).cast()) }
}

/// The bit that makes a NaN quiet.
const QUIET: i32 = 0x0040_0000;

/// The bits of a word's upper half.
const UPPER: i32 = !0xffff;

/// Each lane's bf16, as [`crate::factors::round`] has it, in the lower half of the lane.
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
    unsafe fn mul_add_pairs(x: __m512i, columns: __m512i, sums: Self) -> Self {
        unsafe {
            if DOT {
                let x = std::mem::transmute::<__m512i, __m512bh>(x);
                let columns = std::mem::transmute::<__m512i, __m512bh>(columns);
                return Self(_mm512_dpbf16_ps(sums.0, x, columns));
            }
            let halves = _mm512_set1_epi32(UPPER);
            let upper = [_mm512_and_si512(x, halves), _mm512_and_si512(columns, halves)];
            let lower = [_mm512_slli_epi32::<16>(x), _mm512_slli_epi32::<16>(columns)];
            let sums = _mm512_fmadd_ps(_mm512_castsi512_ps(upper[0]), _mm512_castsi512_ps(upper[1]), sums.0);
            Self(_mm512_fmadd_ps(_mm512_castsi512_ps(lower[0]), _mm512_castsi512_ps(lower[1]), sums))
        }
    }
}

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

/// As [`round_sixteen`].
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

/// As [`Vector::mul_add_pairs`], for half a vector.
///
/// # Safety
/// The processor has AVX2 and FMA.
#[inline(always)]
unsafe fn mul_add_eight_pairs(x: __m256i, columns: __m256i, sums: __m256) -> __m256 {
    // SAFETY: AVX2 and FMA by this function's contract.
    unsafe {
        let halves = _mm256_set1_epi32(UPPER);
        let upper = [_mm256_and_si256(x, halves), _mm256_and_si256(columns, halves)];
        let lower = [_mm256_slli_epi32::<16>(x), _mm256_slli_epi32::<16>(columns)];
        let sums = _mm256_fmadd_ps(_mm256_castsi256_ps(upper[0]), _mm256_castsi256_ps(upper[1]), sums);
        _mm256_fmadd_ps(_mm256_castsi256_ps(lower[0]), _mm256_castsi256_ps(lower[1]), sums)
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
    unsafe fn mul_add_pairs(x: Self::Pairs, columns: Self::Pairs, sums: Self) -> Self {
        unsafe {
            Self(mul_add_eight_pairs(x[0], columns[0], sums.0), mul_add_eight_pairs(x[1], columns[1], sums.1))
        }
    }
}
