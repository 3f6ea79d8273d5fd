//! A row of [`PANEL`] sums in registers, one type for each instruction set.

/// Columns of a panel: one vector of AVX-512, two of AVX2.
pub const PANEL: usize = 16;

/// [`PANEL`] sums side by side.
pub(crate) trait Vector: Copy {
    /// Reads a row.
    ///
    /// # Safety
    /// The processor has the type's instruction set.
    unsafe fn load(values: &[f32; PANEL]) -> Self;

    /// `self + x * weights`.
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn add_product(self, x: f32, weights: Self) -> Self;

    /// Writes a row.
    ///
    /// # Safety
    /// As [`Vector::load`].
    unsafe fn store(self, values: &mut [f32; PANEL]);
}

/// Plain arithmetic, in whatever vectors every processor of the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; PANEL]);

impl Vector for Portable {
    #[inline(always)]
    unsafe fn load(values: &[f32; PANEL]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    unsafe fn add_product(mut self, x: f32, weights: Self) -> Self {
        for (sum, weight) in self.0.iter_mut().zip(weights.0) {
            // Without FMA (old x86 only), `mul_add` would be a slow library call.
            *sum = if cfg!(target_arch = "x86_64") { *sum + x * weight } else { x.mul_add(weight, *sum) };
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, values: &mut [f32; PANEL]) {
        *values = self.0;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
        _mm512_loadu_ps, _mm512_set1_ps, _mm512_storeu_ps,
    };

    use super::{PANEL, Vector};

    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256, __m256);

    impl Vector for Avx2 {
        #[inline(always)]
        unsafe fn load(values: &[f32; PANEL]) -> Self {
            // SAFETY: sixteen values behind the pointer; AVX by the trait's contract.
            unsafe { Self(_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values[8..].as_ptr())) }
        }

        #[inline(always)]
        unsafe fn add_product(self, x: f32, weights: Self) -> Self {
            // SAFETY: AVX and FMA by the trait's contract.
            unsafe {
                let x = _mm256_set1_ps(x);
                Self(_mm256_fmadd_ps(x, weights.0, self.0), _mm256_fmadd_ps(x, weights.1, self.1))
            }
        }

        #[inline(always)]
        unsafe fn store(self, values: &mut [f32; PANEL]) {
            let (first, second) = values.split_at_mut(8);
            // SAFETY: eight values behind each pointer; AVX by the trait's contract.
            unsafe {
                _mm256_storeu_ps(first.as_mut_ptr(), self.0);
                _mm256_storeu_ps(second.as_mut_ptr(), self.1);
            }
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Vector for Avx512 {
        #[inline(always)]
        unsafe fn load(values: &[f32; PANEL]) -> Self {
            // SAFETY: sixteen values behind the pointer; AVX-512F by the trait's contract.
            unsafe { Self(_mm512_loadu_ps(values.as_ptr())) }
        }

        #[inline(always)]
        unsafe fn add_product(self, x: f32, weights: Self) -> Self {
            // SAFETY: AVX-512F by the trait's contract.
            unsafe { Self(_mm512_fmadd_ps(_mm512_set1_ps(x), weights.0, self.0)) }
        }

        #[inline(always)]
        unsafe fn store(self, values: &mut [f32; PANEL]) {
            // SAFETY: sixteen values behind the pointer; AVX-512F by the trait's contract.
            unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};
