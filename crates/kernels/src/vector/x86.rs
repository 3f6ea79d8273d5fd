//! Vectors of AVX-512 and AVX2.

mod avx2;
mod avx512;

use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

use super::Kernel;
use avx2::Avx2;
use avx512::Avx512;

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
