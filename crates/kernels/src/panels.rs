//! Products of rows with a matrix that was packed once: `y[r, n] = start[n] + sum over k of x[r, k] * w[k, n]`.
//!
//! Every output value is one chain of fused multiply-adds over `k` in rising order, whatever the number of
//! rows, their order, the width of the machine's vectors or the number of threads. So a row's result does not
//! depend on its companions, and machines with fused multiply-add agree bit for bit.

use crate::isa::Isa;
pub use crate::vector::PANEL;
#[cfg(target_arch = "x86_64")]
use crate::vector::{Avx2, Avx512};
use crate::vector::{Portable, Vector};

/// Rows of a tile: with two vectors of eight values a row, twelve accumulators fill AVX2's registers.
const TILE: usize = 6;

/// A matrix `[k, n]` cut into panels of [`PANEL`] columns, each `[k, PANEL]`; the last is filled with zeros.
#[derive(Debug, Clone)]
pub struct Panels {
    k: usize,
    n: usize,
    values: Vec<f32>,
}

impl Panels {
    /// Packs a row-major matrix `[k, n]`.
    ///
    /// # Panics
    /// If there are not `k * n` values.
    pub fn pack(matrix: &[f32], k: usize, n: usize) -> Self {
        assert_eq!(matrix.len(), k * n, "a {k} x {n} matrix");
        Self::fill(k, n, |row, first, columns| {
            columns.copy_from_slice(&matrix[row * n + first..][..columns.len()])
        })
    }

    /// Packs the transpose of a row-major matrix `[n, k]`.
    ///
    /// # Panics
    /// If there are not `n * k` values.
    pub fn pack_transposed(matrix: &[f32], k: usize, n: usize) -> Self {
        assert_eq!(matrix.len(), k * n, "a {n} x {k} matrix");
        Self::fill(k, n, |row, first, columns| {
            for (at, value) in columns.iter_mut().enumerate() {
                *value = matrix[(first + at) * k + row];
            }
        })
    }

    fn fill(k: usize, n: usize, mut row: impl FnMut(usize, usize, &mut [f32])) -> Self {
        let mut values = vec![0.0; n.div_ceil(PANEL) * k * PANEL];
        if k > 0 {
            for (panel, rows) in values.chunks_exact_mut(k * PANEL).enumerate() {
                let first = panel * PANEL;
                for (at, columns) in rows.chunks_exact_mut(PANEL).enumerate() {
                    row(at, first, &mut columns[..PANEL.min(n - first)]);
                }
            }
        }
        Self { k, n, values }
    }

    /// Columns of the matrix, and values of an output row.
    pub fn columns(&self) -> usize {
        self.n
    }
}

/// Rows that lie in a buffer as equal runs: value `k` of row `r` is
/// `values[starts[r] + k / run_length * run_stride + k % run_length]`. A convolution's input is such a matrix
/// (one run for each kernel row) without being laid out.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The buffer.
    pub values: &'a [f32],
    /// Where each row begins.
    pub starts: &'a [usize],
    /// Number of runs of a row.
    pub runs: usize,
    /// Values of a run.
    pub run_length: usize,
    /// From the beginning of a run to that of the next.
    pub run_stride: usize,
}

/// What a sum begins with.
#[derive(Clone, Copy)]
pub enum Begin<'a> {
    /// Zero.
    Zero,
    /// One value for each column.
    Bias(&'a [f32]),
}

/// Writes the products `[rows, columns]`.
///
/// # Panics
/// If the sizes do not fit, or a row leaves its buffer.
pub fn multiply(rows: Rows<'_>, panels: &Panels, begin: Begin<'_>, y: &mut [f32]) {
    let Rows { values, starts, runs, run_length, run_stride } = rows;
    assert_eq!(runs * run_length, panels.k, "values of a row");
    assert_eq!(y.len(), starts.len() * panels.n, "output of {} rows", starts.len());
    if let Begin::Bias(bias) = begin {
        assert_eq!(bias.len(), panels.n, "bias");
    }
    if panels.k > 0 {
        let reach = (runs - 1) * run_stride + run_length;
        assert!(starts.iter().all(|start| start + reach <= values.len()), "a row leaves its buffer");
    }
    let isa = Isa::detect();
    for panel in 0..panels.n.div_ceil(PANEL) {
        let first = panel * PANEL;
        let width = PANEL.min(panels.n - first);
        let mut initial = [0.0; PANEL];
        if let Begin::Bias(bias) = begin {
            initial[..width].copy_from_slice(&bias[first..first + width]);
        }
        let weights = &panels.values[panel * panels.k * PANEL..(panel + 1) * panels.k * PANEL];
        // Tiles of nearly equal height: 49 rows are nine tiles of 5 or 6, not eight and one of a single row.
        let tiles = starts.len().div_ceil(TILE);
        for tile in 0..tiles {
            let range = tile * starts.len() / tiles..(tile + 1) * starts.len() / tiles;
            let y = &mut y[range.start * panels.n + first..];
            let rows = Rows { starts: &starts[range], ..rows };
            Tile { rows, weights, initial, width, row_length: panels.n }.run(isa, y);
        }
    }
}

/// At most [`TILE`] rows times one panel.
struct Tile<'a> {
    rows: Rows<'a>,
    weights: &'a [f32],
    initial: [f32; PANEL],
    /// Columns of the panel that exist.
    width: usize,
    /// From one output row to the next.
    row_length: usize,
}

impl Tile<'_> {
    /// Writes the sums; `y` begins at the tile's first row and column.
    fn run(&self, isa: Isa, y: &mut [f32]) {
        match self.rows.starts.len() {
            1 => self.sums::<1>(isa, y),
            2 => self.sums::<2>(isa, y),
            3 => self.sums::<3>(isa, y),
            4 => self.sums::<4>(isa, y),
            5 => self.sums::<5>(isa, y),
            _ => self.sums::<6>(isa, y),
        }
    }

    fn sums<const M: usize>(&self, isa: Isa, y: &mut [f32]) {
        match isa {
            // SAFETY: `Isa::detect` saw the processor's AVX-512F.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { self.avx512::<M>(y) },
            // SAFETY: `Isa::detect` saw the processor's AVX2 and FMA.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { self.avx2::<M>(y) },
            // SAFETY: every processor has what this one uses.
            Isa::Portable => unsafe { self.chain::<M, Portable>(y) },
        }
    }

    /// # Safety
    /// The processor has AVX-512F.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512<const M: usize>(&self, y: &mut [f32]) {
        // SAFETY: as this function's.
        unsafe { self.chain::<M, Avx512>(y) }
    }

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const M: usize>(&self, y: &mut [f32]) {
        // SAFETY: as this function's.
        unsafe { self.chain::<M, Avx2>(y) }
    }

    /// The sums of `M` rows. Inlined into each of the above, where the compiler has their instructions.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    #[inline(always)]
    unsafe fn chain<const M: usize, V: Vector>(&self, y: &mut [f32]) {
        let Rows { values, starts, runs, run_length, run_stride } = self.rows;
        let starts: [usize; M] = starts.try_into().expect("as many rows as the tile is high");
        let (weights, _) = self.weights.as_chunks::<PANEL>();
        // SAFETY: the instruction set by this function's contract; `multiply` checked that every row's last run
        // ends within `values`.
        unsafe {
            let mut sums = [V::load(&self.initial); M];
            for run in 0..runs {
                let weights = &weights[run * run_length..(run + 1) * run_length];
                let starts = starts.map(|start| start + run * run_stride);
                for (at, weights) in weights.iter().enumerate() {
                    let weights = V::load(weights);
                    for (sum, start) in sums.iter_mut().zip(starts) {
                        *sum = sum.add_product(*values.get_unchecked(start + at), weights);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let y = &mut y[row * self.row_length..];
                // A whole panel is stored at once; a copy of unknown length would be a call.
                match y.first_chunk_mut::<PANEL>() {
                    Some(y) if self.width == PANEL => sums.store(y),
                    _ => {
                        let mut panel = [0.0; PANEL];
                        sums.store(&mut panel);
                        y[..self.width].copy_from_slice(&panel[..self.width]);
                    }
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

    /// The chain itself, one value at a time.
    fn expected(x: &[f32], w: &[f32], bias: &[f32], k: usize, n: usize) -> Vec<f32> {
        let fused = Isa::detect().is_fused();
        (0..x.len() / k * n)
            .map(|at| {
                (0..k).fold(bias[at % n], |sum, l| {
                    let (x, w) = (x[at / n * k + l], w[l * n + at % n]);
                    if fused { x.mul_add(w, sum) } else { x * w + sum }
                })
            })
            .collect()
    }

    #[test]
    fn products_are_the_chain_bit_for_bit() {
        for (m, n, k) in
            [(1, 1, 1), (5, 16, 9), (6, 17, 25), (7, 31, 3), (49, 32, 64), (13, 100, 40), (4, 2, 100)]
        {
            let (x, w, bias) = (noise(m * k, 1), noise(k * n, 2), noise(n, 3));
            let starts: Vec<usize> = (0..m).map(|row| row * k).collect();
            let rows = Rows { values: &x, starts: &starts, runs: 1, run_length: k, run_stride: 0 };
            let mut y = vec![f32::NAN; m * n];
            multiply(rows, &Panels::pack(&w, k, n), Begin::Bias(&bias), &mut y);
            assert_eq!(y, expected(&x, &w, &bias, k, n), "{m} x {n} x {k}");

            let transposed: Vec<f32> = (0..n * k).map(|at| w[at % k * n + at / k]).collect();
            let mut again = vec![f32::NAN; m * n];
            multiply(rows, &Panels::pack_transposed(&transposed, k, n), Begin::Bias(&bias), &mut again);
            assert_eq!(again, y, "{m} x {n} x {k}, transposed");
        }
    }

    #[test]
    fn runs_are_gathered_in_order() {
        // A 2 x 3 window moving over a 4 x 5 image.
        let (image, w) = (noise(20, 1), noise(6 * 3, 2));
        let starts = [0, 1, 2, 5, 6, 7, 10, 11, 12];
        let rows = Rows { values: &image, starts: &starts, runs: 2, run_length: 3, run_stride: 5 };
        let laid_out: Vec<f32> =
            starts.iter().flat_map(|&s| [s, s + 1, s + 2, s + 5, s + 6, s + 7]).map(|at| image[at]).collect();
        let mut y = vec![f32::NAN; 27];
        multiply(rows, &Panels::pack(&w, 6, 3), Begin::Zero, &mut y);
        assert_eq!(y, expected(&laid_out, &w, &[0.0; 3], 6, 3));
    }

    #[test]
    #[should_panic(expected = "a row leaves its buffer")]
    fn a_row_that_leaves_its_buffer_is_refused() {
        let rows = Rows { values: &[0.0; 9], starts: &[0, 5], runs: 1, run_length: 5, run_stride: 0 };
        multiply(rows, &Panels::pack(&[0.0; 5], 5, 1), Begin::Zero, &mut [0.0; 2]);
    }

    #[test]
    fn all_instruction_sets_of_this_machine_agree() {
        let (k, n) = (37, PANEL);
        let (x, w) = (noise(TILE * k, 1), noise(k * n, 2));
        let starts: Vec<usize> = (0..TILE).map(|row| row * k).collect();
        let rows = Rows { values: &x, starts: &starts, runs: 1, run_length: k, run_stride: 0 };
        let tile = Tile { rows, weights: &w, initial: [0.25; PANEL], width: PANEL, row_length: PANEL };
        let run = |isa| {
            let mut y = [f32::NAN; TILE * PANEL];
            tile.run(isa, &mut y);
            y
        };
        let judge = run(Isa::Portable);
        for isa in Isa::available() {
            for (found, expected) in run(isa).iter().zip(&judge) {
                // The portable chain of an x86 machine rounds twice a step.
                assert!((found - expected).abs() <= 1e-5, "{isa:?}: {found} {expected}");
            }
        }
    }
}
