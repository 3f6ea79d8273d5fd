//! Products in the order of Intel's AMX ([`crate::factors::Factors::Bf16Amx`]): its tiles take rows that lie equally far from each other, others are
//! copied into blocks, and processors without tiles make the same sums.

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::tiles::{BLOCK, Tiles};
use super::{Multiply, Rows, Sink};
use crate::aligned::Aligned;
use crate::factors::{BLOCK_WORDS, TILE_ROWS};
use crate::isa::Isa;
use crate::vector::{Kernel, LANES, Vector, run_pairs};

/// Words of rows that are copied at a time, at most: they are to stay in the second-level cache while all panels meet them.
const COPIED: usize = 256 << 10;

/// Makes the sums of `product`. Tiles take its rows where they lie if they can; else these are copied some at a time.
pub(super) fn multiply<S: Sink>(isa: Isa, product: Multiply<'_, u32, S>) {
    let Multiply { rows, k, vectors, weights, sink } = product;
    #[cfg(target_arch = "x86_64")]
    if isa.has_tiles() && amx::fit_tiles(&rows) {
        return run_pairs(isa, amx::InPlace { rows, k, vectors, weights, sink });
    }
    let count = rows.starts.len();
    let at_once = (COPIED / k.max(1) / (2 * TILE_ROWS)).max(1) * 2 * TILE_ROWS;
    let mut copied = Aligned::unset(count.min(at_once).next_multiple_of(TILE_ROWS) * k);
    for first in (0..count).step_by(at_once) {
        let count = at_once.min(count - first);
        run_pairs(isa, Copy { rows, first, count, k, copied: copied.words_mut() });
        let tiles = Tiles { copied: copied.words(), first, count, k, vectors, weights, sink: &mut *sink };
        #[cfg(target_arch = "x86_64")]
        if isa.has_tiles() {
            run_pairs(isa, amx::Copied(tiles));
            continue;
        }
        run_pairs(isa, tiles);
    }
}

/// Copies rows: of row `16 t + r`, the words of block `b` lie from `(t * blocks + b) * 256 + 16 r` on.
struct Copy<'a> {
    rows: Rows<'a, u32>,
    first: usize,
    count: usize,
    /// Words of a row, whole blocks.
    k: usize,
    copied: &'a mut [u32],
}

/// Words that are copied together. Pixels have whole vectors of channels, two to a word.
const PIECE: usize = LANES / 2;

impl Kernel for Copy<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { rows: Rows { words, starts, runs, run_length, run_stride }, first, count, k, copied } =
            self;
        assert!(run_length.is_multiple_of(PIECE), "runs of {run_length} words are no whole pixels");
        for (row, &start) in starts[first..first + count].iter().enumerate() {
            let to = row / TILE_ROWS * TILE_ROWS * k + row % TILE_ROWS * BLOCK_WORDS;
            let mut at = 0;
            for run in 0..runs {
                let (pieces, _) = words[start + run * run_stride..][..run_length].as_chunks::<PIECE>();
                for piece in pieces {
                    copied[to + at / BLOCK_WORDS * BLOCK + at % BLOCK_WORDS..][..PIECE]
                        .copy_from_slice(piece);
                    at += PIECE;
                }
            }
            for at in (at..k).step_by(PIECE) {
                copied[to + at / BLOCK_WORDS * BLOCK + at % BLOCK_WORDS..][..PIECE].fill(0);
            }
        }
    }
}

impl<S: Sink> Kernel for Tiles<'_, S> {
    type Output = ();

    /// Without tiles: a row or some of them, with two chains for each of its sums.
    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (count, vectors) = (self.count, self.vectors);
        for first in (0..vectors).step_by(V::PANEL) {
            let mut row = 0;
            while row < count {
                // SAFETY: the instruction set by this function's contract; rows and vectors exist.
                row += unsafe {
                    match (V::PANEL == 2 && vectors - first >= 2, count - row) {
                        (true, 4..) => self.rows::<V, 4, 2>(row, first),
                        (true, _) => self.rows::<V, 1, 2>(row, first),
                        (false, 2..) => self.rows::<V, 2, 1>(row, first),
                        (false, _) => self.rows::<V, 1, 1>(row, first),
                    }
                };
            }
        }
    }
}

impl<S: Sink> Tiles<'_, S> {
    /// The sums of `M` rows, a divisor of [`TILE_ROWS`], and `N` vectors of columns.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the rows and vectors exist, and the first row's number is a multiple of `M`.
    #[inline(always)]
    unsafe fn rows<V: Vector, const M: usize, const N: usize>(&mut self, row: usize, first: usize) -> usize {
        let from = row / TILE_ROWS * TILE_ROWS * self.k + row % TILE_ROWS * BLOCK_WORDS;
        // SAFETY: as this function's: copied rows have `k` words, and the panel `k` rows of `N` vectors.
        unsafe {
            let mut sums = [[V::zero(); N]; M];
            for block in 0..self.k / BLOCK_WORDS {
                let mut lower = [[V::zero(); N]; M];
                let mut upper = [[V::zero(); N]; M];
                for word in 0..BLOCK_WORDS {
                    let at = (first * self.k + (block * BLOCK_WORDS + word) * N) * LANES;
                    let mut columns = [V::load_pairs(self.weights, at); N];
                    for (v, columns) in columns.iter_mut().enumerate().skip(1) {
                        *columns = V::load_pairs(self.weights, at + v * LANES);
                    }
                    for r in 0..M {
                        let x = V::splat_pair(self.copied[from + block * BLOCK + r * BLOCK_WORDS + word]);
                        for v in 0..N {
                            lower[r][v] = V::lower(x).mul_add(V::lower(columns[v]), lower[r][v]);
                            upper[r][v] = V::upper(x).mul_add(V::upper(columns[v]), upper[r][v]);
                        }
                    }
                }
                for r in 0..M {
                    for v in 0..N {
                        sums[r][v] = sums[r][v].add(lower[r][v].add(upper[r][v]));
                    }
                }
            }
            for v in 0..N {
                for (r, sums) in sums.iter().enumerate() {
                    self.sink.put(self.first + row + r, (first + v) * LANES, sums[v]);
                }
            }
        }
        M
    }
}
