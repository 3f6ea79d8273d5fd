//! Products of rows with a matrix that was packed once: `y[r, n] = sum over k of x[r, k] * w[k, n]`.
//!
//! Every sum is one chain of fused multiply-adds over `k` in rising order from zero (of rounded factors as
//! [`crate::factors`] says), whatever the number of rows,
//! their order, the width of the machine's vectors or the number of threads. So a row's result does not depend
//! on its companions, and machines with fused multiply-add agree bit for bit. What becomes of a sum (bias,
//! rectifier, place) is the `Sink`'s business.

#[cfg(target_arch = "x86_64")]
mod amx;
mod blocks;
pub(crate) mod tiles;

use crate::aligned::Aligned;
use crate::factors::{Factors, Word};
use crate::isa::Isa;
use crate::sizes::{self, product};
use crate::vector::{Kernel, LANES, Vector, run_pairs};

/// Matrices `[k, n]`, mostly one, each cut into panels of one or two vectors of columns (what the instruction set's
/// registers hold), each `[k, width]`. Columns are filled up to whole vectors with zeros. Of factors rounded to bf16, a row of words
/// has two rows of the matrix.
#[derive(Debug, Clone)]
pub struct Panels {
    isa: Isa,
    factors: Factors,
    /// Rows of words, whole blocks of them where there are blocks.
    k: usize,
    vectors: usize,
    values: Aligned,
}

impl Panels {
    /// A matrix of zeros `[k, n]` for `isa`.
    ///
    /// # Panics
    /// If that are more values than a buffer can hold.
    pub fn zeros(isa: Isa, k: usize, n: usize) -> Self {
        Self::stack::<f32>(isa, 1, k, n)
    }

    /// A matrix `[k, n]` of any values for `isa`: every vector is to be written before it is read.
    ///
    /// # Panics
    /// As [`Panels::zeros`].
    pub fn unset(isa: Isa, k: usize, n: usize) -> Self {
        Self::holding(isa, Factors::F32, k, n, Aligned::unset(room(1, k, n)))
    }

    /// `count` matrices of zeros with `k` rows of words and `n` columns for `isa`: in one piece, because allocators round large ones
    /// up.
    pub(crate) fn stack<W: Word>(isa: Isa, count: usize, k: usize, n: usize) -> Self {
        Self::holding(isa, W::FACTORS, k, n, Aligned::zeros(room(count, k, n)))
    }

    fn holding(isa: Isa, factors: Factors, k: usize, n: usize, values: Aligned) -> Self {
        Self { isa, factors, k, vectors: n.div_ceil(LANES), values }
    }

    /// Makes it `count` matrices with `k` rows of words and `n` columns for `isa` of any values, which are to be written before they are
    /// read.
    pub(crate) fn reshape<W: Word>(&mut self, isa: Isa, count: usize, k: usize, n: usize) {
        self.values.grow(room(count, k, n));
        (self.isa, self.factors, self.k, self.vectors) = (isa, W::FACTORS, k, n.div_ceil(LANES));
    }

    /// The same matrix, of f32 so far, with its factors rounded to bf16, in pairs of rows, for products in the order of `to`.
    ///
    /// # Panics
    /// If they are rounded already, are not to be, or the number of rows is odd.
    pub fn rounded(&self, to: Factors) -> Self {
        let Self { isa, factors, k, vectors, ref values } = *self;
        let even = factors == Factors::F32 && to.are_pairs() && k.is_multiple_of(2);
        assert!(even, "{k} rows of {factors:?} that are to be rounded in pairs to {to:?}");
        let (k, filled, columns) = (k / 2, to.filled(k / 2), self.columns());
        let mut rounded = Self::holding(isa, to, filled, columns, Aligned::zeros(room(1, filled, columns)));
        let (width, words) = (isa.panel_vectors(), rounded.values.words_mut());
        run_pairs(isa, Round { values, k, filled, vectors, width, words });
        rounded
    }

    /// Words of one matrix.
    pub(crate) fn len(&self) -> usize {
        self.k * self.vectors * LANES
    }

    /// Packs a row-major matrix `[k, n]`.
    ///
    /// # Panics
    /// If there are not `k * n` values.
    pub fn pack(isa: Isa, matrix: &[f32], k: usize, n: usize) -> Self {
        assert!(product(&[k, n]) == Some(matrix.len()), "{} values for a {k} x {n} matrix", matrix.len());
        let mut panels = Self::zeros(isa, k, n);
        for (row, values) in matrix.chunks_exact(n.max(1)).enumerate() {
            for (vector, columns) in values.chunks(LANES).enumerate() {
                panels.vector_mut(row, vector)[..columns.len()].copy_from_slice(columns);
            }
        }
        panels
    }

    /// Rows of the matrix, with those that fill up blocks: values of an input row.
    pub fn rows(&self) -> usize {
        if self.factors.are_pairs() { 2 * self.k } else { self.k }
    }

    /// What products with it multiply.
    pub(crate) fn factors(&self) -> Factors {
        self.factors
    }

    /// Columns of the matrix, whole vectors.
    pub fn columns(&self) -> usize {
        self.vectors * LANES
    }

    /// [`LANES`] columns of one row, from column `vector * LANES` on.
    ///
    /// # Panics
    /// If there is no such row or vector, or they are rounded.
    pub fn vector_mut(&mut self, row: usize, vector: usize) -> &mut [f32] {
        let Self { k, vectors, .. } = self;
        assert!(self.factors == Factors::F32, "vector {vector} of row {row} of rounded factors");
        assert!(row < *k && vector < *vectors, "vector {vector} of row {row} of {k} x {vectors} vectors");
        let at = self.place(row, vector);
        &mut self.values[at..at + LANES]
    }

    /// Where those columns of a row of words, which exist, lie in a matrix, of which number `i` begins at `i * len()` of [`Panels::words_mut`].
    pub(crate) fn place(&self, row: usize, vector: usize) -> usize {
        let width = self.isa.panel_vectors();
        let first = vector / width * width;
        (first * self.k + row * width.min(self.vectors - first) + vector - first) * LANES
    }

    /// The instruction set that the matrix is packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// All words, in the order of [`Panels::place`].
    ///
    /// # Panics
    /// If they are others.
    pub(crate) fn words<W: Word>(&self) -> &[W] {
        self.check_words::<W>();
        W::of(&self.values)
    }

    /// The same, to be written.
    pub(crate) fn words_mut<W: Word>(&mut self) -> &mut [W] {
        self.check_words::<W>();
        W::of_mut(&mut self.values)
    }

    fn check_words<W: Word>(&self) {
        let Self { factors, k, vectors, .. } = self;
        let fits = factors.are_pairs() == (W::WIDE == 2);
        assert!(fits, "{k} x {vectors} vectors of {factors:?} read as words of {}", W::WIDE);
    }
}

/// Joins rows `2 j` and `2 j + 1` of the panels `values` to row `j` of the panels `words`.
struct Round<'a> {
    values: &'a [f32],
    /// Rows of words.
    k: usize,
    /// The same with those that stay zeros.
    filled: usize,
    vectors: usize,
    /// Vectors of a row of a panel.
    width: usize,
    words: &'a mut [u32],
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { values, k, filled, vectors, width, words } = self;
        for first in (0..vectors).step_by(width) {
            let columns = width.min(vectors - first) * LANES;
            for row in 0..k {
                let (from, to) =
                    (first * 2 * k * LANES + 2 * row * columns, first * filled * LANES + row * columns);
                for at in (0..columns).step_by(LANES) {
                    // SAFETY: the instruction set by this function's contract; panels of `vectors` vectors have these rows.
                    unsafe {
                        let (lower, upper) =
                            (V::load(values, from + at), V::load(values, from + columns + at));
                        V::store_pairs(lower, upper, words, to + at);
                    }
                }
            }
        }
    }
}

/// Values of `count` matrices `[k, n]`: what every product reads, so that no other function makes panels.
fn room(count: usize, k: usize, n: usize) -> usize {
    // Not filled up before it is known to be a number.
    let vectors = sizes::values("columns of panels", &[n.div_ceil(LANES), LANES]);
    sizes::values("matrices of panels", &[count, k, vectors])
}

/// Rows that lie in a buffer as equal runs: word `k` of row `r` is
/// `words[starts[r] + k / run_length * run_stride + k % run_length]`. A convolution's input is such a matrix
/// (one run for each kernel row) without being laid out.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, W> {
    /// The buffer.
    pub(crate) words: &'a [W],
    /// Where each row begins.
    pub(crate) starts: &'a [usize],
    /// Number of runs of a row.
    pub(crate) runs: usize,
    /// Words of a run.
    pub(crate) run_length: usize,
    /// From the beginning of a run to that of the next.
    pub(crate) run_stride: usize,
}

impl<'a, W> Rows<'a, W> {
    /// Rows of one run.
    pub(crate) fn plain(words: &'a [W], starts: &'a [usize], length: usize) -> Self {
        Self { words, starts, runs: 1, run_length: length, run_stride: 0 }
    }
}

/// Takes sums as they are finished: those of one vector of columns in the order of the rows.
pub(crate) trait Sink {
    /// Takes the sums of columns `column..column + LANES` of row `row`.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; row and column are those of a product that [`Sink::check`] let pass.
    unsafe fn put<V: Vector>(&mut self, row: usize, column: usize, sums: V);

    /// Panics unless there is room for a product `[rows, columns]`.
    fn check(&self, rows: usize, columns: usize);
}

/// Stores sums as a matrix, `stride` values from row to row.
pub(crate) struct Store<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) stride: usize,
}

impl Sink for Store<'_> {
    #[inline(always)]
    unsafe fn put<V: Vector>(&mut self, row: usize, column: usize, sums: V) {
        // SAFETY: as this function's; `check` found room for every row.
        unsafe { sums.store(self.values, row * self.stride + column) }
    }

    fn check(&self, rows: usize, columns: usize) {
        let Self { values, stride } = self;
        let before = product(&[rows.saturating_sub(1), *stride]);
        let fits = before.is_some_and(|before| before + columns <= values.len());
        assert!(rows == 0 || fits, "{} values for {rows} rows of {columns}, {stride} apart", values.len());
    }
}

/// Hands the products `[rows, columns]` to `sink`.
///
/// # Panics
/// If the sizes do not fit, a row leaves its buffer, or the panels are of other words.
pub(crate) fn multiply<W: Word, S: Sink>(rows: Rows<'_, W>, panels: &Panels, sink: &mut S) {
    multiply_by(rows, panels, 0, sink);
}

/// The same with matrix `number` of `panels`.
///
/// # Panics
/// As [`multiply`], or if there is no such matrix.
pub(crate) fn multiply_by<W: Word, S: Sink>(rows: Rows<'_, W>, panels: &Panels, number: usize, sink: &mut S) {
    let Rows { words, starts, runs, run_length, run_stride } = rows;
    let k = panels.k;
    let fits = product(&[runs, run_length]).is_some_and(|words| panels.factors.filled(words) == k);
    assert!(fits, "{runs} runs of {run_length} words for rows of {k}");
    if let (Some(&highest), true) = (starts.iter().max(), k > 0) {
        let reach = product(&[runs - 1, run_stride]).and_then(|begin| begin.checked_add(run_length));
        let end = reach.and_then(|reach| reach.checked_add(highest));
        assert!(
            end.is_some_and(|end| end <= words.len()),
            "a row of {runs} runs of {run_length} words, {run_stride} apart, leaves its buffer of {} at {highest}",
            words.len()
        );
    }
    sink.check(starts.len(), panels.columns());
    // Rows of no values begin anywhere, or nowhere.
    let rows = Rows { runs: if k == 0 { 0 } else { runs }, ..rows };
    let weights = &panels.words::<W>()[number * panels.len()..][..panels.len()];
    let (isa, vectors) = (panels.isa, panels.vectors);
    match (panels.factors, W::pairs(rows.words), W::pairs(weights)) {
        (Factors::Bf16Amx, Some(words), Some(weights)) => {
            let Rows { starts, runs, run_length, run_stride, .. } = rows;
            let rows = Rows { words, starts, runs, run_length, run_stride };
            blocks::multiply(isa, Multiply { rows, k, vectors, weights, sink });
        }
        _ => W::run(isa, Multiply { rows, k, vectors, weights, sink }),
    }
}

/// Rows, the panels of a matrix, and who takes the sums; made by [`multiply_by`], which checked the sizes.
struct Multiply<'a, W, S> {
    rows: Rows<'a, W>,
    k: usize,
    vectors: usize,
    weights: &'a [W],
    sink: &'a mut S,
}

impl<W: Word, S: Sink> Kernel for Multiply<'_, W, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (count, vectors) = (self.rows.starts.len(), self.vectors);
        // Tiles of nearly equal height: 49 rows are four tiles of 12 or 13, not three and one of seven.
        let tiles = count.div_ceil(W::tile_rows::<V>());
        for first in (0..vectors).step_by(V::PANEL) {
            for tile in 0..tiles {
                let (row, end) = (tile * count / tiles, (tile + 1) * count / tiles);
                // SAFETY: the instruction set by this function's contract; `multiply` checked the rows.
                unsafe {
                    if V::PANEL == 2 && vectors - first >= 2 {
                        self.tile::<V, 2>(row, end - row, first);
                    } else {
                        self.tile::<V, 1>(row, end - row, first);
                    }
                }
            }
        }
    }
}

/// Calls `tile_of::<V, M, N>` for the `M` that `$height` is.
macro_rules! for_height {
    ($self:ident, $height:expr, $row:expr, $first:expr, [$($m:literal)*]) => {
        match $height {
            $($m if $m <= W::tile_rows::<V>() => $self.tile_of::<V, $m, N>($row, $first),)*
            _ => unreachable!("a tile is at most {} rows high", W::tile_rows::<V>()),
        }
    };
}

impl<W: Word, S: Sink> Multiply<'_, W, S> {
    /// The sums of `height` rows and `N` vectors of columns.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the rows and vectors exist.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize>(&mut self, row: usize, height: usize, first: usize) {
        // SAFETY: as this function's.
        unsafe { for_height!(self, height, row, first, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]) }
    }

    /// # Safety
    /// As [`Multiply::tile`].
    #[inline(always)]
    unsafe fn tile_of<V: Vector, const M: usize, const N: usize>(&mut self, row: usize, first: usize) {
        let Rows { words, starts, runs, run_length, run_stride } = self.rows;
        let weights = self.weights;
        let mut at = first * self.k * LANES;
        // SAFETY: the instruction set by this function's contract; `multiply` checked that every row's last run
        // ends within `words`, and the panel holds `k` rows of `N` vectors.
        unsafe {
            let mut sums = [[V::zero(); N]; M];
            for run in 0..runs {
                // Pointers, not places: the compiler would add up places in vector registers and take them apart.
                let mut begins = [words.as_ptr(); M];
                for (begin, start) in begins.iter_mut().zip(&starts[row..row + M]) {
                    debug_assert!(start + run * run_stride + run_length <= words.len());
                    *begin = begin.add(start + run * run_stride);
                }
                for k in 0..run_length {
                    let mut columns = [W::load::<V>(weights, at); N];
                    for (v, columns) in columns.iter_mut().enumerate().skip(1) {
                        *columns = W::load(weights, at + v * LANES);
                    }
                    at += N * LANES;
                    for r in 0..M {
                        let x = W::splat(*begins[r].add(k));
                        for v in 0..N {
                            sums[r][v] = W::mul_add(x, columns[v], sums[r][v]);
                        }
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sums) in sums.into_iter().enumerate() {
                    self.sink.put(row + r, (first + v) * LANES, sums);
                }
            }
        }
    }
}
