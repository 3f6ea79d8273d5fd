//! The tiles of Intel's AMX: registers of sixteen rows of 64 bytes, and an instruction that multiplies two of them (bf16) and adds
//! to a third (f32).
//!
//! A thread that computes with tiles first says how large they are, and lets them go when it is done. The compiler uses none, so what they
//! hold stays from one of the functions below to the next; they are for this file alone.

use std::arch::asm;

use super::tiles::{BLOCK, Tiles};
use super::{Rows, Sink};
use crate::factors::{BLOCK_WORDS, TILE_ROWS};
use crate::vector::{Kernel, LANES, Vector};

/// Eight tiles of sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct Sizes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static SIZES: Sizes = Sizes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// This thread's tiles, while it has some.
struct Configured;

impl Configured {
    /// # Safety
    /// The instruction set has tiles.
    unsafe fn new() -> Self {
        // SAFETY: tiles by this function's contract; 64 bytes are read.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const SIZES, options(nostack, preserves_flags, readonly))
        }
        Self
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: only a thread with tiles has one of these.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags, nomem)) }
    }
}

// SAFETY of the functions below: this thread has tiles, by their contract, and there are eight.

/// # Safety
/// This thread has tiles, as for all that follow.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn zero<const T: u8>() {
    unsafe { asm!("tilezero tmm{t}", t = const T, options(nostack, preserves_flags)) }
}

/// Loads sixteen rows of as many words, `stride` bytes apart.
///
/// # Safety
/// They are there.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn load<const T: u8>(from: *const u32, stride: usize) {
    unsafe {
        asm!(
            "tileloadd tmm{t}, [{from} + {stride}]",
            t = const T,
            from = in(reg) from,
            stride = in(reg) stride,
            options(nostack, preserves_flags, readonly)
        );
    }
}

/// Adds the products of rows `X` with the block `W` of a panel to the sums `S`.
///
/// # Safety
/// As [`zero`].
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn multiply_add<const S: u8, const X: u8, const W: u8>() {
    unsafe {
        asm!(
            "tdpbf16ps tmm{s}, tmm{x}, tmm{w}",
            s = const S,
            x = const X,
            w = const W,
            options(nostack, preserves_flags)
        );
    }
}

/// Stores sixteen rows of as many sums, one after the other.
///
/// # Safety
/// There is room.
#[inline(always)]
#[allow(clippy::undocumented_unsafe_blocks, reason = "one comment above for all of them")]
unsafe fn store<const T: u8>(to: *mut f32) {
    unsafe {
        asm!(
            "tilestored [{to} + {stride}], tmm{t}",
            t = const T,
            to = in(reg) to,
            stride = in(reg) TILE_ROWS * size_of::<f32>(),
            options(nostack, preserves_flags)
        );
    }
}

/// Whether tiles take the rows where they lie: sixteen at a time they are equally far from each other, in runs of whole blocks.
pub(super) fn fit_tiles(rows: &Rows<'_, u32>) -> bool {
    let even = |tile: &[usize]| {
        let step = tile[1].wrapping_sub(tile[0]);
        tile.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step)
    };
    rows.run_length.is_multiple_of(BLOCK_WORDS)
        && rows.starts.len().is_multiple_of(TILE_ROWS)
        && rows.starts.chunks_exact(TILE_ROWS).all(even)
}

/// Products of rows where they lie, which [`fit_tiles`].
pub(super) struct InPlace<'a, S> {
    pub(super) rows: Rows<'a, u32>,
    pub(super) k: usize,
    pub(super) vectors: usize,
    pub(super) weights: &'a [u32],
    pub(super) sink: &'a mut S,
}

/// Products of copied rows.
pub(super) struct Copied<'a, S>(pub(super) Tiles<'a, S>);

impl<S: Sink> Kernel for InPlace<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Rows { words, starts, runs, run_length, run_stride } = self.rows;
        let blocks = Blocks { runs, run_stride, count: run_length / BLOCK_WORDS, stride: BLOCK_WORDS };
        let place = |tile: usize| {
            let starts = &starts[tile * TILE_ROWS..][..2];
            (starts[0], starts[1].wrapping_sub(starts[0]))
        };
        let (k, vectors) = (self.k, self.vectors);
        let product = Product { words, blocks, count: starts.len(), k, vectors, weights: self.weights };
        // SAFETY: as this function's. `multiply` found every row's last run within the words, and a tile's rows are equally far apart.
        unsafe { product.run::<V, S>(place, 0, self.sink) }
    }
}

impl<S: Sink> Kernel for Copied<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Tiles { copied, first, count, k, vectors, weights, sink } = self.0;
        let blocks = Blocks { runs: 1, run_stride: 0, count: k / BLOCK_WORDS, stride: BLOCK };
        let product = Product { words: copied, blocks, count, k, vectors, weights };
        // SAFETY: as this function's. There are `k` words for each row of every tile that has one.
        unsafe { product.run::<V, S>(|tile| (tile * TILE_ROWS * k, BLOCK_WORDS), first, sink) }
    }
}

/// Where the blocks of a tile lie, in words.
#[derive(Clone, Copy)]
struct Blocks {
    runs: usize,
    /// From one run to the next.
    run_stride: usize,
    /// Blocks of a run.
    count: usize,
    /// From one block to the next.
    stride: usize,
}

/// Rows and panels.
#[derive(Clone, Copy)]
struct Product<'a> {
    words: &'a [u32],
    blocks: Blocks,
    /// How many rows.
    count: usize,
    /// Words of a row.
    k: usize,
    vectors: usize,
    weights: &'a [u32],
}

/// Sums of four tiles, on their way to the sink.
#[repr(C, align(64))]
struct Sums([[f32; TILE_ROWS * LANES]; 4]);

impl Product<'_> {
    /// Hands the sums to `sink`, whose first row has the number `first_row`, for tiles of rows that begin at the first number of `place`, as
    /// many words apart as the second.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`, whose panels are of two vectors, and may compute with tiles. Every block of every tile lies
    /// within the words.
    #[inline(always)]
    unsafe fn run<V: Vector, S: Sink>(
        self,
        place: impl Fn(usize) -> (usize, usize),
        first_row: usize,
        sink: &mut S,
    ) {
        let (tiles, mut sums) = (self.count.div_ceil(TILE_ROWS), Sums([[0.0; TILE_ROWS * LANES]; 4]));
        // SAFETY: as this function's; the vectors exist.
        unsafe {
            let _configured = Configured::new();
            for first in (0..self.vectors).step_by(V::PANEL) {
                let wide = self.vectors - first >= 2;
                for tile in (0..tiles).step_by(2) {
                    let tall = tiles - tile >= 2;
                    let rows = [place(tile), place(if tall { tile + 1 } else { tile })];
                    match (tall, wide) {
                        (true, true) => self.tiles::<true, true>(rows, first, &mut sums),
                        (true, false) => self.tiles::<true, false>(rows, first, &mut sums),
                        (false, true) => self.tiles::<false, true>(rows, first, &mut sums),
                        (false, false) => self.tiles::<false, false>(rows, first, &mut sums),
                    }
                    for v in 0..1 + usize::from(wide) {
                        for below in 0..1 + usize::from(tall) {
                            let row = (tile + below) * TILE_ROWS;
                            for r in 0..TILE_ROWS.min(self.count - row) {
                                let values = V::load(&sums.0[2 * below + v], r * LANES);
                                sink.put(first_row + row + r, (first + v) * LANES, values);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The sums of one tile of rows or two (`TALL`), and one vector of columns or two (`WIDE`).
    ///
    /// # Safety
    /// This thread has tiles. The rows and vectors exist.
    #[inline(always)]
    unsafe fn tiles<const TALL: bool, const WIDE: bool>(
        self,
        [upper, lower]: [(usize, usize); 2],
        first: usize,
        sums: &mut Sums,
    ) {
        let Self { words, blocks, k, weights, .. } = self;
        let width = if WIDE { 2 * LANES } else { LANES };
        let bytes = |words: usize| words.wrapping_mul(size_of::<u32>());
        debug_assert!(first * k * LANES + k * width <= weights.len());
        // SAFETY: as this function's: the panel has `k` rows of its vectors, and there is room for the sums of four tiles.
        unsafe {
            zero::<0>();
            zero::<1>();
            zero::<2>();
            zero::<3>();
            let mut w = weights.as_ptr().add(first * k * LANES);
            for run in 0..blocks.runs {
                let mut x = words.as_ptr().add(upper.0 + run * blocks.run_stride);
                let mut y = words.as_ptr().add(lower.0 + run * blocks.run_stride);
                for _ in 0..blocks.count {
                    load::<4>(x, bytes(upper.1));
                    load::<6>(w, bytes(width));
                    multiply_add::<0, 4, 6>();
                    if WIDE {
                        load::<7>(w.add(LANES), bytes(width));
                        multiply_add::<1, 4, 7>();
                    }
                    if TALL {
                        load::<5>(y, bytes(lower.1));
                        multiply_add::<2, 5, 6>();
                    }
                    if TALL && WIDE {
                        multiply_add::<3, 5, 7>();
                    }
                    x = x.wrapping_add(blocks.stride);
                    y = y.wrapping_add(blocks.stride);
                    w = w.wrapping_add(BLOCK_WORDS * width);
                }
            }
            let [a, b, c, d] = sums.0.each_mut();
            store::<0>(a.as_mut_ptr());
            store::<1>(b.as_mut_ptr());
            store::<2>(c.as_mut_ptr());
            store::<3>(d.as_mut_ptr());
        }
    }
}
