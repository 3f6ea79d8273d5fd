//! What products multiply: f32, or f32 rounded to bf16, of which two share a word of 32 bits, and how their sums are made.
//!
//! A bf16 is the upper half of an f32. Of the rows (of a matrix) or channels (of an image) `2 j` and `2 j + 1`, the first is the
//! lower half of word `j`, the other its upper half. Sums stay f32. In [`Factors::Bf16`] a word's part of a sum is two fused multiply-adds, of
//! the upper halves first, as the processors do it that have an instruction for both (`vdpbf16ps`). In [`Factors::Bf16Amx`] sixteen words are
//! a block, the last filled up with zeros: within it the lower halves and the upper halves have a chain of fused multiply-adds each, from zero,
//! and the sum of both is added to the sum of the blocks before, as Intel's AMX does it (`tdpbf16ps`).
//!
//! Rounding goes to the nearest, ties to the even one, and what is nearer to 0 than 2^-56 becomes 0 of its sign. So every factor is a
//! multiple of 2^-63, every product and every sum of products one of 2^-126: there are no denormals, which those instructions
//! take for 0, and all instruction sets with fused multiply-add agree bit for bit. NaN stays NaN.

use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::vector::{Kernel, LANES, Vector, run, run_pairs};

/// Words of a block: the products of one are summed by themselves.
pub(crate) const BLOCK_WORDS: usize = 16;

/// Rows that one of AMX's tiles multiplies.
pub(crate) const TILE_ROWS: usize = 16;

/// What the factors of products are; sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// The values themselves.
    F32,
    /// Values rounded to bf16, where a kernel has products in pairs; elsewhere f32.
    Bf16,
    /// The same in the order of Intel's AMX, whose products cost so little that no convolution is transformed to have fewer. A processor without
    /// AMX gives the same bits, slower than in f32.
    Bf16Amx,
}

impl Factors {
    /// Whether two share a word.
    pub(crate) fn are_pairs(self) -> bool {
        self != Self::F32
    }

    /// Images that passes should have together at least, where memory allows: their rows then need not be copied for AMX's tiles.
    pub fn images_together(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 => 1,
            Self::Bf16Amx => TILE_ROWS,
        }
    }

    /// Rows of words that a matrix with `words` of them has: whole blocks.
    pub(crate) fn filled(self, words: usize) -> usize {
        match self {
            Self::F32 | Self::Bf16 => words,
            Self::Bf16Amx => words.next_multiple_of(BLOCK_WORDS),
        }
    }
}

/// One or two factors in 32 bits.
pub(crate) trait Word: Copy + 'static {
    /// What it holds, in the order that [`crate::conv2d::winograd`] multiplies in.
    const FACTORS: Factors;
    /// Factors of a word.
    const WIDE: usize;
    /// [`LANES`] words.
    type Words<V: Vector>: Copy;

    /// Rows of a product's tile.
    fn tile_rows<V: Vector>() -> usize;

    /// A buffer's bits as words.
    fn of(buffer: &Aligned) -> &[Self];

    /// The same, to be written.
    fn of_mut(buffer: &mut Aligned) -> &mut [Self];

    /// Runs a kernel that is about such words.
    fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Output;

    /// The same words, if they are pairs.
    fn pairs(words: &[Self]) -> Option<&[u32]>;

    /// # Safety
    /// As [`Vector`]'s, like all that follow.
    unsafe fn splat<V: Vector>(self) -> Self::Words<V>;

    /// [`LANES`] words from place `at` on.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn load<V: Vector>(words: &[Self], at: usize) -> Self::Words<V>;

    /// `sums` and in each lane the products of the factors of two words.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn mul_add<V: Vector>(x: Self::Words<V>, columns: Self::Words<V>, sums: V) -> V;

    /// Stores the factors of one vector, side by side: `LANES / WIDE` words from place `at` on.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn store<V: Vector>(values: V, words: &mut [Self], at: usize);

    /// Stores [`LANES`] words from place `at` on, whose factors are the lanes of the first `WIDE` of `rows`.
    ///
    /// # Safety
    /// As [`Vector`]'s.
    unsafe fn store_rows<V: Vector>(rows: [V; 2], words: &mut [Self], at: usize);
}

/// One f32.
impl Word for f32 {
    const FACTORS: Factors = Factors::F32;
    const WIDE: usize = 1;
    type Words<V: Vector> = V;

    #[inline(always)]
    fn tile_rows<V: Vector>() -> usize {
        V::ROWS
    }

    fn of(buffer: &Aligned) -> &[Self] {
        buffer
    }

    fn of_mut(buffer: &mut Aligned) -> &mut [Self] {
        buffer
    }

    fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
        run(isa, kernel)
    }

    fn pairs(_words: &[Self]) -> Option<&[u32]> {
        None
    }

    #[inline(always)]
    unsafe fn splat<V: Vector>(self) -> V {
        // SAFETY: as this function's.
        unsafe { V::splat(self) }
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(words: &[Self], at: usize) -> V {
        // SAFETY: as this function's.
        unsafe { V::load(words, at) }
    }

    #[inline(always)]
    unsafe fn mul_add<V: Vector>(x: V, columns: V, sums: V) -> V {
        // SAFETY: as this function's.
        unsafe { x.mul_add(columns, sums) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(values: V, words: &mut [Self], at: usize) {
        // SAFETY: as this function's.
        unsafe { values.store(words, at) }
    }

    #[inline(always)]
    unsafe fn store_rows<V: Vector>([values, _]: [V; 2], words: &mut [Self], at: usize) {
        // SAFETY: as this function's.
        unsafe { values.store(words, at) }
    }
}

/// Two bf16. An integer: as f32 it may be a NaN that a move changes.
impl Word for u32 {
    const FACTORS: Factors = Factors::Bf16;
    const WIDE: usize = 2;
    type Words<V: Vector> = V::Pairs;

    #[inline(always)]
    fn tile_rows<V: Vector>() -> usize {
        V::PAIR_ROWS
    }

    fn of(buffer: &Aligned) -> &[Self] {
        buffer.words()
    }

    fn of_mut(buffer: &mut Aligned) -> &mut [Self] {
        buffer.words_mut()
    }

    fn run<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
        run_pairs(isa, kernel)
    }

    fn pairs(words: &[Self]) -> Option<&[u32]> {
        Some(words)
    }

    #[inline(always)]
    unsafe fn splat<V: Vector>(self) -> V::Pairs {
        // SAFETY: as this function's.
        unsafe { V::splat_pair(self) }
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(words: &[Self], at: usize) -> V::Pairs {
        // SAFETY: as this function's.
        unsafe { V::load_pairs(words, at) }
    }

    #[inline(always)]
    unsafe fn mul_add<V: Vector>(x: V::Pairs, columns: V::Pairs, sums: V) -> V {
        // SAFETY: as this function's.
        unsafe { V::mul_add_pairs(x, columns, sums) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(values: V, words: &mut [Self], at: usize) {
        // SAFETY: as this function's.
        unsafe { values.store_rounded(words, at) }
    }

    #[inline(always)]
    unsafe fn store_rows<V: Vector>([lower, upper]: [V; 2], words: &mut [Self], at: usize) {
        // SAFETY: as this function's.
        unsafe { V::store_pairs(lower, upper, words, at) }
    }
}

/// Rounds `values`, whole vectors, into as many halves of words.
///
/// # Panics
/// If the values are no whole vectors, or there is no room.
pub(crate) fn round_all(isa: Isa, values: &[f32], words: &mut [u32]) {
    let fits = values.len().is_multiple_of(LANES) && values.len() / 2 <= words.len();
    assert!(fits, "{} values in {} words of two", values.len(), words.len());
    run_pairs(isa, RoundAll { values, words });
}

struct RoundAll<'a> {
    values: &'a [f32],
    words: &'a mut [u32],
}

impl Kernel for RoundAll<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        for at in (0..self.values.len()).step_by(LANES) {
            // SAFETY: the instruction set by this function's contract; `round_all` found whole vectors, and room.
            unsafe { V::load(self.values, at).store_rounded(self.words, at / 2) }
        }
    }
}

#[cfg(test)]
mod tests;
