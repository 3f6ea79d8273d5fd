//! Sums of outer products: `c[m, n] += sum over t of a[starts_a[t] + m] * b[starts_b[t] + n]`, the product behind every
//! gradient on weights.
//!
//! The sum over `t` is cut into blocks that follow from its length alone. Within a block every element is one chain of
//! fused multiply-adds in rising order from zero, whatever the tile it falls in; then the block is added to `c`. So
//! results do not depend on how a caller cuts `c`, and errors are those of a block plus those of adding blocks:
//! accumulating into `c` directly was ten times worse.

use std::ops::Range;

use crate::isa::Isa;
use crate::sizes::{self, product};
use crate::vector::{Kernel, LANES, Vector, run};

/// Summands of a block, at most: few enough for small errors and for two operands in a second-level cache, many enough
/// that reading and writing `c` costs little beside them.
const BLOCK: usize = 256;

/// Pieces that weights are cut into, at most: sixteen million have more rows than any machine has memory for.
const PIECES: usize = 1 << 24;

/// One operand: rows of the same length anywhere in a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    /// The buffer.
    pub(crate) values: &'a [f32],
    /// Where each row begins.
    pub(crate) starts: &'a [usize],
    /// Values of a row.
    pub(crate) length: usize,
}

impl Operand<'_> {
    /// Panics if a row leaves the buffer.
    fn check(&self) {
        let Self { values, starts, length } = self;
        if let Some(last) = starts.iter().max() {
            let fits = last.checked_add(*length).is_some_and(|end| end <= values.len());
            assert!(fits, "a row of {length} values leaves its buffer of {} at {last}", values.len());
        }
    }
}

/// Adds the sum of the outer products of the rows of `a` and `b` to the matrix `c` `[a.length, b.length]`, whose rows
/// are `stride` values apart.
///
/// # Panics
/// If the operands differ in the number of rows, a row leaves its buffer, `b`'s rows are no whole vectors, or `c` is
/// too small.
pub(crate) fn add(isa: Isa, a: Operand<'_>, b: Operand<'_>, c: &mut [f32], stride: usize) {
    assert_eq!(a.starts.len(), b.starts.len(), "rows of both operands");
    let whole = b.length.is_multiple_of(LANES) && b.length <= stride;
    assert!(whole, "{} columns of {stride} are no whole vectors", b.length);
    a.check();
    b.check();
    if a.length == 0 || b.length == 0 {
        return;
    }
    let before = product(&[a.length - 1, stride]);
    let fits = before.and_then(|before| before.checked_add(b.length)).is_some_and(|len| len <= c.len());
    assert!(fits, "{} values for {} rows of {}, {stride} apart", c.len(), a.length, b.length);
    run(isa, Add { a, b, c, stride, ahead: (&[], 0) });
}

/// The rows of `c`, `runs` runs of `length` rows each, in pieces of at most `most` rows of one run.
pub(crate) fn pieces(runs: usize, length: usize, most: usize) -> Vec<Range<usize>> {
    let parts = length.div_ceil(most);
    let fits = product(&[runs, length]).is_some() && product(&[runs, parts]).is_some_and(|all| all <= PIECES);
    assert!(fits, "{runs} times {length} rows of weights are more than {PIECES} pieces");
    // Runs without rows are nothing to go through.
    let runs = if parts == 0 { 0 } else { runs };
    let cut = |part: usize| part * length / parts;
    let mut pieces = sizes::reserved(runs * parts);
    for run in 0..runs {
        pieces.extend((0..parts).map(|part| run * length + cut(part)..run * length + cut(part + 1)));
    }
    pieces
}

struct Add<'a> {
    a: Operand<'a>,
    b: Operand<'a>,
    c: &'a mut [f32],
    stride: usize,
    /// Rows of `b` that come next, and from which column on.
    ahead: (&'a [usize], usize),
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<V: Vector>(mut self) {
        let (count, rows, columns) = (self.a.starts.len(), self.a.length, self.b.length);
        let (starts_a, starts_b) = (self.a.starts, self.b.starts);
        let (blocks, tiles) = (count.div_ceil(BLOCK), rows.div_ceil(V::ROWS));
        for block in 0..blocks {
            let (begin, end) = (block * count / blocks, (block + 1) * count / blocks);
            self.a.starts = &starts_a[begin..end];
            self.b.starts = &starts_b[begin..end];
            let next = &starts_b[end..(end + end - begin).min(count)];
            for column in (0..columns).step_by(V::PANEL * LANES) {
                let beside = column + V::PANEL * LANES;
                self.ahead = if beside < columns { (self.b.starts, beside) } else { (next, 0) };
                // Tiles of nearly equal height.
                for tile in 0..tiles {
                    let (row, next) = (tile * rows / tiles, (tile + 1) * rows / tiles);
                    // SAFETY: the instruction set by this function's contract; `add` checked rows and `c`.
                    unsafe {
                        if V::PANEL == 2 && columns - column >= 2 * LANES {
                            self.tile::<V, 2>(row, next - row, column);
                        } else {
                            self.tile::<V, 1>(row, next - row, column);
                        }
                    }
                }
            }
        }
    }
}

/// Calls `tile_of::<V, M, N>` for the `M` that `$height` is.
macro_rules! for_height {
    ($self:ident, $height:expr, $row:expr, $column:expr, [$($m:literal)*]) => {
        match $height {
            $($m if $m <= V::ROWS => $self.tile_of::<V, $m, N>($row, $column),)*
            _ => unreachable!("a tile is at most {} rows high", V::ROWS),
        }
    };
}

impl Add<'_> {
    /// Adds the sums of `height` rows and `N` vectors of columns.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`; the rows and columns exist.
    #[inline(always)]
    unsafe fn tile<V: Vector, const N: usize>(&mut self, row: usize, height: usize, column: usize) {
        // SAFETY: as this function's.
        unsafe { for_height!(self, height, row, column, [1 2 3 4 5 6 7 8 9 10 11 12 13 14]) }
    }

    /// # Safety
    /// As [`Add::tile`].
    #[inline(always)]
    unsafe fn tile_of<V: Vector, const M: usize, const N: usize>(&mut self, row: usize, column: usize) {
        let (a, b) = (self.a.values, self.b.values);
        // SAFETY: the instruction set by this function's contract; `add` checked that every row ends within its buffer
        // and that `c` holds every element.
        unsafe {
            for r in 0..M {
                // Asked for now, needed when the sums are complete.
                V::prefetch(self.c, (row + r) * self.stride + column);
                if N == 2 {
                    V::prefetch(self.c, (row + r) * self.stride + column + LANES);
                }
            }
            let mut sums = [[V::zero(); N]; M];
            let (ahead, beside) = self.ahead;
            for (t, (start_a, start_b)) in self.a.starts.iter().zip(self.b.starts).enumerate() {
                // A panel's first tile would wait for each row of `b`, above all where it comes from memory.
                if t < ahead.len() {
                    let at = ahead.get_unchecked(t) + beside;
                    V::prefetch(b, at);
                    if N == 2 {
                        V::prefetch(b, at + LANES);
                    }
                }
                debug_assert!(start_a + row + M <= a.len());
                let values = a.as_ptr().add(start_a + row);
                let mut columns = [V::zero(); N];
                for (v, columns) in columns.iter_mut().enumerate() {
                    *columns = V::load(b, start_b + column + v * LANES);
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*values.add(r));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = x.mul_add(column, *sum);
                    }
                }
            }
            for (r, sums) in sums.into_iter().enumerate() {
                for (v, sums) in sums.into_iter().enumerate() {
                    let at = (row + r) * self.stride + column + v * LANES;
                    V::load(self.c, at).add(sums).store(self.c, at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|i| (((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5) - 1.0).collect()
    }

    /// Overlapping rows of `a` in falling order, rows of `b` with gaps.
    fn starts(count: usize, columns: usize) -> [Vec<usize>; 2] {
        [(0..count).map(|t| 3 * (count - 1 - t)).collect(), (0..count).map(|t| t * (columns + 5)).collect()]
    }

    #[test]
    fn sums_of_awkward_sizes_are_those_of_the_formula_and_the_same_however_c_is_cut() {
        for (rows, columns, count) in
            [(1, 16, 1), (14, 32, 256), (15, 48, 257), (29, 16, 700), (9, 80, 3), (5, 32, 0)]
        {
            let [starts_a, starts_b] = starts(count, columns);
            let (a, b) = (noise(3 * count + rows, 1), noise(count * (columns + 5), 2));
            let stride = columns + 3;
            let before = noise(rows * stride, 3);
            let mut fused = Vec::new();
            for isa in Isa::available() {
                let mut c = before.clone();
                let left = Operand { values: &a, starts: &starts_a, length: rows };
                let right = Operand { values: &b, starts: &starts_b, length: columns };
                add(isa, left, right, &mut c, stride);
                for (at, found) in c.iter().enumerate() {
                    let (row, column) = (at / stride, at % stride);
                    let mut expected = f64::from(before[at]);
                    if column < columns {
                        for (s, t) in starts_a.iter().zip(&starts_b) {
                            expected += f64::from(a[s + row]) * f64::from(b[t + column]);
                        }
                    }
                    assert!(
                        (f64::from(*found) - expected).abs() < 2e-5,
                        "{isa:?} [{row}, {column}]: {found} {expected}"
                    );
                }
                // Cut after a row, and after a vector of columns.
                let mut parts = before.clone();
                let (top, bottom) = parts.split_at_mut(rows / 3 * stride);
                add(isa, Operand { length: rows / 3, ..left }, right, top, stride);
                let below: Vec<usize> = starts_a.iter().map(|start| start + rows / 3).collect();
                let below = Operand { starts: &below, length: rows - rows / 3, ..left };
                add(isa, below, Operand { length: 16, ..right }, bottom, stride);
                let beside: Vec<usize> = starts_b.iter().map(|start| start + 16).collect();
                let beside = Operand { starts: &beside, length: columns - 16, ..right };
                add(isa, below, beside, &mut bottom[16..], stride);
                assert_eq!(parts, c, "{isa:?}");
                if isa.is_fused() {
                    fused.push(c);
                }
            }
            assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}
