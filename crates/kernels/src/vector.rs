//! Sixteen f32 values side by side: the one vector type that kernels are written in, for each instruction set.
//!
//! A kernel implements [`Kernel`] once, generic over [`Vector`]; [`run`] compiles it for every instruction set and
//! calls the one asked for. All operations round as IEEE says, and multiply-adds are fused wherever the machine
//! can, so that such machines agree bit for bit.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::bf16::round;
use crate::isa::{Isa, Kind};

/// Values of a vector: one register of AVX-512, two of AVX2, four of NEON or SSE.
pub const LANES: usize = 16;

/// [`LANES`] values.
///
/// # Safety
/// Every function needs a processor with the type's instruction set; [`run`] is the only place that chooses one.
/// Places in slices are checked in builds with debug assertions (as tests are), and are the caller's promise in
/// others.
pub(crate) trait Vector: Copy {
    /// Rows of a product's tile: what fills the registers with [`Vector::PANEL`] vectors a row.
    const ROWS: usize;
    /// Vectors of a row of a product's tile.
    const PANEL: usize;
    /// Rows of a tile of a product of pairs.
    const PAIR_ROWS: usize;
    /// [`LANES`] words of two bf16: see [`crate::factors`].
    type Pairs: Copy;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(values: &[f32], at: usize) -> Self;
    unsafe fn store(self, values: &mut [f32], at: usize);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger of both; where one is NaN, `other`.
    unsafe fn max(self, other: Self) -> Self;
    /// A bit for each lane where `self > other`.
    unsafe fn above(self, other: Self) -> u16;
    /// A bit for each lane where `self` is NaN.
    unsafe fn nan(self) -> u16;
    /// `self` where the bit is set, 0 elsewhere.
    unsafe fn keep(self, bits: u16) -> Self;
    /// Makes columns of rows.
    unsafe fn transpose(rows: &mut [Self; LANES]);
    /// Asks for the cache line at a place that will be read soon; may lie outside.
    unsafe fn prefetch(values: &[f32], at: usize);

    unsafe fn splat_pair(word: u32) -> Self::Pairs;
    unsafe fn load_pairs(words: &[u32], at: usize) -> Self::Pairs;
    /// Stores a word for each lane: `lower` rounded in its lower half, `upper` in its upper half.
    unsafe fn store_pairs(lower: Self, upper: Self, words: &mut [u32], at: usize);
    /// Stores a word for two lanes that follow each other, rounded, the first in its lower half.
    unsafe fn store_rounded(self, words: &mut [u32], at: usize);
    /// The lower half of each word.
    unsafe fn lower(words: Self::Pairs) -> Self;
    /// The upper half of each word.
    unsafe fn upper(words: Self::Pairs) -> Self;

    /// In each lane `lower x * lower column + (upper x * upper column + sum)`, rounded twice.
    #[inline(always)]
    unsafe fn mul_add_pairs(x: Self::Pairs, columns: Self::Pairs, sums: Self) -> Self {
        // SAFETY: as this function's.
        unsafe {
            let sums = Self::upper(x).mul_add(Self::upper(columns), sums);
            Self::lower(x).mul_add(Self::lower(columns), sums)
        }
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as this function's.
        unsafe { Self::splat(0.0) }
    }
}

/// Work that is compiled for every instruction set.
pub(crate) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, like all that it calls with vectors: else it is compiled without them.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn run<V: Vector>(self) -> Self::Output;
}

/// Runs `kernel` with the instructions of `isa`.
#[inline]
pub(crate) fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.kind() {
        // SAFETY: an `Isa` of these kinds is only made where the processor has AVX-512F.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 | Kind::Avx512Bf16 | Kind::Amx => unsafe { x86::run_avx512(kernel) },
        // SAFETY: an `Isa` of this kind is only made where the processor has AVX2 and FMA.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { x86::run_avx2(kernel) },
        // SAFETY: every processor has what this one uses.
        Kind::Portable => unsafe { kernel.run::<Portable>() },
    }
}

/// Runs a `kernel` that multiplies or makes pairs: the others need not be compiled for an instruction set whose only instructions
/// of its own are for them.
#[inline]
pub(crate) fn run_pairs<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.kind() {
        // SAFETY: an `Isa` of these kinds is only made where the processor has what the function is compiled for.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512Bf16 | Kind::Amx => unsafe { x86::run_avx512_bf16(kernel) },
        _ => run(isa, kernel),
    }
}

/// Plain arithmetic, in whatever vectors every processor of the target has.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }

    #[inline(always)]
    fn bits(self, f: impl Fn(usize) -> bool) -> u16 {
        (0..LANES).fold(0, |bits, lane| bits | u16::from(f(lane)) << lane)
    }
}

impl Vector for Portable {
    const ROWS: usize = 6;
    const PANEL: usize = 1;
    const PAIR_ROWS: usize = 6;
    type Pairs = [u32; LANES];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(values: &[f32], at: usize) -> Self {
        Self(*values[at..].first_chunk().expect("a whole vector"))
    }

    #[inline(always)]
    unsafe fn store(self, values: &mut [f32], at: usize) {
        values[at..at + LANES].copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            let (a, b, c) = (self.0[lane], factor.0[lane], addend.0[lane]);
            // Without FMA (old x86 only), `mul_add` would be a slow library call.
            if cfg!(target_arch = "x86_64") { a * b + c } else { a.mul_add(b, c) }
        }))
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.with(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn above(self, other: Self) -> u16 {
        self.bits(|lane| self.0[lane] > other.0[lane])
    }

    #[inline(always)]
    unsafe fn nan(self) -> u16 {
        self.bits(|lane| self.0[lane].is_nan())
    }

    #[inline(always)]
    unsafe fn keep(self, bits: u16) -> Self {
        Self(std::array::from_fn(|lane| if bits >> lane & 1 == 1 { self.0[lane] } else { 0.0 }))
    }

    #[inline(always)]
    unsafe fn transpose(rows: &mut [Self; LANES]) {
        let given = *rows;
        for (i, row) in rows.iter_mut().enumerate() {
            for (value, row) in row.0.iter_mut().zip(&given) {
                *value = row.0[i];
            }
        }
    }

    #[inline(always)]
    unsafe fn prefetch(_values: &[f32], _at: usize) {}

    #[inline(always)]
    unsafe fn splat_pair(word: u32) -> [u32; LANES] {
        [word; LANES]
    }

    #[inline(always)]
    unsafe fn load_pairs(words: &[u32], at: usize) -> [u32; LANES] {
        *words[at..].first_chunk().expect("a whole vector")
    }

    #[inline(always)]
    unsafe fn store_pairs(lower: Self, upper: Self, words: &mut [u32], at: usize) {
        for (word, (lower, upper)) in words[at..at + LANES].iter_mut().zip(lower.0.into_iter().zip(upper.0)) {
            *word = u32::from(round(lower)) | u32::from(round(upper)) << 16;
        }
    }

    #[inline(always)]
    unsafe fn store_rounded(self, words: &mut [u32], at: usize) {
        for (word, pair) in words[at..at + LANES / 2].iter_mut().zip(self.0.chunks_exact(2)) {
            *word = u32::from(round(pair[0])) | u32::from(round(pair[1])) << 16;
        }
    }

    #[inline(always)]
    unsafe fn lower(words: [u32; LANES]) -> Self {
        Self(words.map(|word| f32::from_bits(word << 16)))
    }

    #[inline(always)]
    unsafe fn upper(words: [u32; LANES]) -> Self {
        Self(words.map(|word| f32::from_bits(word & 0xffff_0000)))
    }
}

impl Isa {
    /// Vectors of a row of a product's tile.
    pub(crate) fn panel_vectors(self) -> usize {
        run(self, PanelVectors)
    }
}

struct PanelVectors;

impl Kernel for PanelVectors {
    type Output = usize;

    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> usize {
        V::PANEL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every operation on numbers of every kind.
    struct Everything;

    impl Kernel for Everything {
        type Output = (Vec<f32>, Vec<u16>);

        #[inline(always)]
        unsafe fn run<V: Vector>(self) -> Self::Output {
            let special = [0.0, -0.0, 1.5, -2.5, f32::INFINITY, f32::NAN, 1e-40, -3.0];
            let x: Vec<f32> = (0..LANES + 3).map(|i| special[i % 8] * (1 + i / 8) as f32).collect();
            let y: Vec<f32> = (0..LANES + 3).map(|i| special[(i * 3 + 1) % 8]).collect();
            // SAFETY: the instruction set by this function's contract; 19 values hold a vector from place 3 on.
            unsafe {
                let (a, b) = (V::load(&x, 3), V::load(&y, 3));
                let results = [
                    a.add(b),
                    a.sub(b),
                    a.mul(b),
                    a.max(b),
                    b.max(a),
                    a.keep(0xA5C3),
                    V::splat(2.0).mul_add(b, V::splat(0.5)),
                    V::zero(),
                ];
                let mut values = vec![f32::NAN; LANES * results.len() + 1];
                for (at, result) in results.into_iter().enumerate() {
                    result.store(&mut values, 1 + at * LANES);
                }
                V::prefetch(&values, 0);
                let mut rows = [V::zero(); LANES];
                for (at, row) in rows.iter_mut().enumerate() {
                    *row = a.add(V::splat(at as f32));
                }
                V::transpose(&mut rows);
                for row in rows {
                    values.resize(values.len() + LANES, f32::NAN);
                    let at = values.len() - LANES;
                    row.store(&mut values, at);
                }
                (values.split_off(1), vec![a.above(b), b.above(a), a.nan()])
            }
        }
    }

    #[test]
    fn all_instruction_sets_of_this_machine_agree_bit_for_bit() {
        let (judge, judge_bits) = run(Isa::PORTABLE, Everything);
        assert_eq!(judge_bits[2], (0..16).filter(|l| (l + 3) % 8 == 5).fold(0, |bits, l| bits | 1 << l));
        for isa in Isa::available() {
            let (values, bits) = run(isa, Everything);
            let same = values
                .iter()
                .zip(&judge)
                .all(|(v, j)| v.to_bits() == j.to_bits() || v.is_nan() && j.is_nan());
            assert!(same, "{isa:?}: {values:?} {judge:?}");
            assert_eq!(bits, judge_bits, "{isa:?}");
        }
    }
}
