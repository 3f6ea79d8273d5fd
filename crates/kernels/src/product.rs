//! Matrix products on slices: a safe door to the crate `gemm`.

/// A matrix in a slice, row-major (`[rows, columns]`) or the transpose of one.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// `values` as `[rows, columns]`, row-major.
    ///
    /// # Panics
    /// If there are not `rows * columns` values.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a {rows} x {columns} matrix");
        Self { values, rows, columns, transposed: false }
    }

    /// The transpose, without moving anything.
    pub fn transpose(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// (column stride, row stride) in elements.
    fn strides(&self) -> (isize, isize) {
        if self.transposed { (self.rows as isize, 1) } else { (1, self.columns as isize) }
    }
}

/// What happens with the values that stand in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// They are overwritten.
    Overwrite,
    /// The product is added to them.
    Accumulate,
}

/// `destination [m, n]` (row-major) `= left [m, k] x right [k, n]`, or added to it.
///
/// Sums run in an order fixed by `(m, n, k)`, on the calling thread only.
///
/// # Panics
/// If the shapes do not fit.
pub fn multiply(left: Matrix<'_>, right: Matrix<'_>, destination: &mut [f32], mode: Destination) {
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert_eq!(right.rows, k, "inner sizes of a product");
    assert_eq!(destination.len(), m * n, "destination of a {m} x {n} product");
    let ((left_column, left_row), (right_column, right_row)) = (left.strides(), right.strides());
    let accumulate = mode == Destination::Accumulate;
    // SAFETY: the three asserts above and in `Matrix::new` bound every index `row * row_stride + column *
    // column_stride` by the slices' lengths; the destination is borrowed mutably, so nothing aliases it.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            left.values.as_ptr(),
            left_column,
            left_row,
            right.values.as_ptr(),
            right_column,
            right_row,
            if accumulate { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, factor: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * factor) % 17) as f32 - 8.0).collect()
    }

    /// Small integers, so that every order of summation gives the same f32.
    #[test]
    fn products_of_awkward_sizes_are_exact() {
        for (m, n, k) in [(1, 1, 1), (1, 7, 3), (5, 1, 9), (3, 2, 0), (16, 6, 31), (65, 33, 70), (128, 10, 1)]
        {
            let (a, b) = (numbers(m * k, 7), numbers(k * n, 5));
            let expected: Vec<f32> =
                (0..m * n).map(|at| (0..k).map(|l| a[at / n * k + l] * b[l * n + at % n]).sum()).collect();
            let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            let mut c = vec![f32::NAN; m * n];
            multiply(left, right, &mut c, Destination::Overwrite);
            assert_eq!(c, expected, "{m} x {n} x {k}");
            multiply(left, right, &mut c, Destination::Accumulate);
            assert!(c.iter().zip(&expected).all(|(found, once)| *found == 2.0 * once));
            // (A B)^T = B^T A^T
            let mut transposed = vec![f32::NAN; m * n];
            multiply(right.transpose(), left.transpose(), &mut transposed, Destination::Overwrite);
            assert!((0..m * n).all(|at| transposed[at % n * m + at / n] == expected[at]));
        }
    }
}
