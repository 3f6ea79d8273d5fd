//! Products of rows with a matrix that was packed once: `y[r, n] = sum over k of x[r, k] * w[k, n]`.
//!
//! Every sum is one chain of fused multiply-adds over `k` in rising order from zero, whatever the number of rows,
//! their order, the width of the machine's vectors or the number of threads. So a row's result does not depend
//! on its companions, and machines with fused multiply-add agree bit for bit. What becomes of a sum (bias,
//! rectifier, place) is the `Sink`'s business.

use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::sizes::{self, product};
use crate::vector::{Kernel, LANES, Vector, run};

/// Matrices `[k, n]`, mostly one, each cut into panels of one or two vectors of columns (what the instruction set's
/// registers hold), each `[k, width]`. Columns are filled up to whole vectors with zeros.
#[derive(Debug, Clone)]
pub struct Panels {
    isa: Isa,
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
        Self::stack(isa, 1, k, n)
    }

    /// A matrix `[k, n]` of any values for `isa`: every vector is to be written before it is read.
    ///
    /// # Panics
    /// As [`Panels::zeros`].
    pub fn unset(isa: Isa, k: usize, n: usize) -> Self {
        Self { isa, k, vectors: n.div_ceil(LANES), values: Aligned::unset(room(1, k, n)) }
    }

    /// `count` matrices of zeros `[k, n]` for `isa`: in one piece, because allocators round large ones up.
    pub(crate) fn stack(isa: Isa, count: usize, k: usize, n: usize) -> Self {
        Self { isa, k, vectors: n.div_ceil(LANES), values: Aligned::zeros(room(count, k, n)) }
    }

    /// Makes it `count` matrices `[k, n]` for `isa` of any values, which are to be written before they are read.
    pub(crate) fn reshape(&mut self, isa: Isa, count: usize, k: usize, n: usize) {
        self.values.grow(room(count, k, n));
        (self.isa, self.k, self.vectors) = (isa, k, n.div_ceil(LANES));
    }

    /// Values of one matrix.
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

    /// Rows of the matrix: values of an input row.
    pub fn rows(&self) -> usize {
        self.k
    }

    /// Columns of the matrix, whole vectors.
    pub fn columns(&self) -> usize {
        self.vectors * LANES
    }

    /// [`LANES`] columns of one row, from column `vector * LANES` on.
    ///
    /// # Panics
    /// If there is no such row or vector.
    pub fn vector_mut(&mut self, row: usize, vector: usize) -> &mut [f32] {
        let Self { k, vectors, .. } = self;
        assert!(row < *k && vector < *vectors, "vector {vector} of row {row} of {k} x {vectors} vectors");
        let at = self.place(row, vector);
        &mut self.values[at..at + LANES]
    }

    /// Where those columns, which exist, lie in a matrix, of which number `i` begins at `i * len()` of [`Panels::values_mut`].
    pub(crate) fn place(&self, row: usize, vector: usize) -> usize {
        let width = self.isa.panel_vectors();
        let first = vector / width * width;
        (first * self.k + row * width.min(self.vectors - first) + vector - first) * LANES
    }

    /// The instruction set that the matrix is packed for.
    pub(crate) fn isa(&self) -> Isa {
        self.isa
    }

    /// All values, in the order of [`Panels::place`].
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be written.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// Values of `count` matrices `[k, n]`: what every product reads, so that no other function makes panels.
fn room(count: usize, k: usize, n: usize) -> usize {
    // Not filled up before it is known to be a number.
    let vectors = sizes::values("columns of panels", &[n.div_ceil(LANES), LANES]);
    sizes::values("matrices of panels", &[count, k, vectors])
}

/// Rows that lie in a buffer as equal runs: value `k` of row `r` is
/// `values[starts[r] + k / run_length * run_stride + k % run_length]`. A convolution's input is such a matrix
/// (one run for each kernel row) without being laid out.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The buffer.
    pub(crate) values: &'a [f32],
    /// Where each row begins.
    pub(crate) starts: &'a [usize],
    /// Number of runs of a row.
    pub(crate) runs: usize,
    /// Values of a run.
    pub(crate) run_length: usize,
    /// From the beginning of a run to that of the next.
    pub(crate) run_stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows of one run.
    pub(crate) fn plain(values: &'a [f32], starts: &'a [usize], length: usize) -> Self {
        Self { values, starts, runs: 1, run_length: length, run_stride: 0 }
    }
}

/// Takes sums as they are finished.
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
/// If the sizes do not fit, or a row leaves its buffer.
pub(crate) fn multiply<S: Sink>(rows: Rows<'_>, panels: &Panels, sink: &mut S) {
    multiply_by(rows, panels, 0, sink);
}

/// The same with matrix `number` of `panels`.
///
/// # Panics
/// As [`multiply`], or if there is no such matrix.
pub(crate) fn multiply_by<S: Sink>(rows: Rows<'_>, panels: &Panels, number: usize, sink: &mut S) {
    let Rows { values, starts, runs, run_length, run_stride } = rows;
    let k = panels.k;
    assert!(product(&[runs, run_length]) == Some(k), "{runs} runs of {run_length} values for rows of {k}");
    if let (Some(&highest), true) = (starts.iter().max(), k > 0) {
        let reach = product(&[runs - 1, run_stride]).and_then(|begin| begin.checked_add(run_length));
        let end = reach.and_then(|reach| reach.checked_add(highest));
        assert!(
            end.is_some_and(|end| end <= values.len()),
            "a row of {runs} runs of {run_length} values, {run_stride} apart, leaves its buffer of {} at {highest}",
            values.len()
        );
    }
    sink.check(starts.len(), panels.columns());
    // Rows of no values begin anywhere, or nowhere.
    let rows = Rows { runs: if k == 0 { 0 } else { runs }, ..rows };
    let weights = &panels.values[number * panels.len()..][..panels.len()];
    run(panels.isa, Multiply { rows, k, vectors: panels.vectors, weights, sink });
}

struct Multiply<'a, S> {
    rows: Rows<'a>,
    k: usize,
    vectors: usize,
    weights: &'a [f32],
    sink: &'a mut S,
}

impl<S: Sink> Kernel for Multiply<'_, S> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (count, vectors) = (self.rows.starts.len(), self.vectors);
        // Tiles of nearly equal height: 49 rows are four tiles of 12 or 13, not three and one of seven.
        let tiles = count.div_ceil(V::ROWS);
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
            $($m if $m <= V::ROWS => $self.tile_of::<V, $m, N>($row, $first),)*
            _ => unreachable!("a tile is at most {} rows high", V::ROWS),
        }
    };
}

impl<S: Sink> Multiply<'_, S> {
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
        let Rows { values, starts, runs, run_length, run_stride } = self.rows;
        let weights = self.weights;
        let mut at = first * self.k * LANES;
        // SAFETY: the instruction set by this function's contract; `multiply` checked that every row's last run
        // ends within `values`, and the panel holds `k` rows of `N` vectors.
        unsafe {
            let mut sums = [[V::zero(); N]; M];
            for run in 0..runs {
                // Pointers, not places: the compiler would add up places in vector registers and take them apart.
                let mut begins = [values.as_ptr(); M];
                for (begin, start) in begins.iter_mut().zip(&starts[row..row + M]) {
                    debug_assert!(start + run * run_stride + run_length <= values.len());
                    *begin = begin.add(start + run * run_stride);
                }
                for k in 0..run_length {
                    let mut columns = [V::zero(); N];
                    for (v, columns) in columns.iter_mut().enumerate() {
                        *columns = V::load(weights, at + v * LANES);
                    }
                    at += N * LANES;
                    for r in 0..M {
                        let x = V::splat(*begins[r].add(k));
                        for v in 0..N {
                            sums[r][v] = x.mul_add(columns[v], sums[r][v]);
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
