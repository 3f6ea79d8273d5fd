//! The choice of score columns to compute, what is chosen of all, and gradients on that back.

use candle_core::Tensor;

use crate::{Error, Result};

/// Which score columns are wanted; an aggregate computes only the arms behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// Every class.
    All,
    /// One class, the same for all examples.
    One(usize),
    /// Some classes of each example's own choice.
    PerExample(ColumnTable),
}

impl Columns {
    /// How many columns a classifier of `classes` classes returns for this choice.
    pub fn width(&self, classes: usize) -> usize {
        match self {
            Columns::All => classes,
            Columns::One(_) => 1,
            Columns::PerExample(table) => table.width,
        }
    }

    /// Refuses columns that a classifier of `classes` classes does not have.
    ///
    /// # Errors
    /// [`Error::Column`] for the first such column.
    pub fn validate(&self, classes: usize) -> Result<()> {
        let highest = match self {
            Columns::All => None,
            Columns::One(column) => Some(*column),
            Columns::PerExample(table) => table.indices.iter().max().map(|&column| column as usize),
        };
        match highest {
            Some(column) if column >= classes => Err(Error::Column { column, classes }),
            _ => Ok(()),
        }
    }

    /// The columns of each of `n` examples, `[n * width]`.
    ///
    /// # Errors
    /// As [`Columns::validate`]; [`Error::Shape`] for a table of no columns, or of another number of examples.
    pub fn of_each(&self, n: usize, classes: usize) -> Result<Vec<u32>> {
        self.validate(classes)?;
        match self {
            Columns::All => Ok((0..classes as u32).collect::<Vec<u32>>().repeat(n)),
            Columns::One(column) => Ok(vec![*column as u32; n]),
            Columns::PerExample(table) if table.width > 0 && table.indices.len() == n * table.width => {
                Ok(table.indices.clone())
            }
            Columns::PerExample(table) => Err(table.misfit(n)),
        }
    }

    /// The chosen of all `scores` `[n, classes]`, row by row: `[n * width]`.
    pub fn gather(&self, classes: usize, scores: Vec<f32>) -> Vec<f32> {
        if let Columns::All = self {
            return scores;
        }
        let rows = scores.chunks_exact(classes).enumerate();
        rows.flat_map(|(row, scores)| self.chosen(row).map(move |column| scores[column])).collect()
    }

    /// The chosen of `scores` `[m, classes]`, those of the examples from number `first` on, on their device: `[m, width]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a table of fewer examples, [`Error::Tensor`] for a column that there is not.
    pub fn gather_tensor(&self, scores: &Tensor, first: usize) -> Result<Tensor> {
        match self {
            Columns::All => Ok(scores.clone()),
            Columns::One(column) => Ok(scores.narrow(1, *column, 1)?),
            Columns::PerExample(table) => {
                let (rows, width) = (scores.dims2()?.0, table.width);
                let Some(wanted) = table.indices.get(first * width..(first + rows) * width) else {
                    return Err(table.misfit(first + rows));
                };
                Ok(scores.gather(&Tensor::from_slice(wanted, (rows, width), scores.device())?, 1)?)
            }
        }
    }

    /// Gradients on the chosen columns, `[n * width]`, as gradients on all of them, `[n * classes]`; a column that is chosen
    /// twice has both.
    pub fn scatter(&self, classes: usize, gradients: &[f32]) -> Vec<f32> {
        if let Columns::All = self {
            return gradients.to_vec();
        }
        let width = self.width(classes).max(1);
        let mut all = vec![0.0; gradients.len() / width * classes];
        let rows = all.chunks_exact_mut(classes).zip(gradients.chunks_exact(width)).enumerate();
        for (row, (all, gradients)) in rows {
            for (column, gradient) in self.chosen(row).zip(gradients) {
                all[column] += gradient;
            }
        }
        all
    }

    /// The columns of one example; only for choices other than all.
    fn chosen(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let (one, table) = match self {
            Columns::All => (None, &[][..]),
            Columns::One(column) => (Some(*column), &[][..]),
            Columns::PerExample(table) => (None, table.row(row)),
        };
        one.into_iter().chain(table.iter().map(|&column| column as usize))
    }

    /// The choice for the examples at `rows`.
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Columns::PerExample(table) => Columns::PerExample(ColumnTable {
                width: table.width,
                indices: rows.iter().flat_map(|&row| table.row(row)).copied().collect(),
            }),
            same => same.clone(),
        }
    }
}

/// `width` column indices for each example, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnTable {
    /// Columns per example.
    pub width: usize,
    /// `[n * width]`.
    pub indices: Vec<u32>,
}

impl ColumnTable {
    /// The columns of one example.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.indices[row * self.width..(row + 1) * self.width]
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.indices.len() / self.width.max(1)
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// It is not one for `n` examples.
    fn misfit(&self, n: usize) -> Error {
        Error::Shape {
            what: "table of columns",
            found: vec![self.len(), self.width],
            expected: format!("[{n}, m] with m >= 1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn columns_by_hand() {
        let scores = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let tensor = Tensor::from_slice(&scores, (2, 3), &Device::Cpu).unwrap();
        let table = Columns::PerExample(ColumnTable { width: 2, indices: vec![2, 2, 0, 1] });
        for (columns, each, chosen, spread) in [
            (Columns::All, vec![0, 1, 2, 0, 1, 2], scores.clone(), scores.clone()),
            (Columns::One(1), vec![1, 1], vec![2.0, 5.0], vec![0.0, 2.0, 0.0, 0.0, 5.0, 0.0]),
            (table, vec![2, 2, 0, 1], vec![3.0, 3.0, 4.0, 5.0], vec![0.0, 0.0, 6.0, 4.0, 5.0, 0.0]),
        ] {
            assert_eq!(columns.of_each(2, 3).unwrap(), each);
            assert_eq!(columns.gather(3, scores.clone()), chosen);
            let gathered = columns.gather_tensor(&tensor, 0).unwrap();
            assert_eq!(gathered.dims(), [2, columns.width(3)]);
            assert_eq!(gathered.flatten_all().unwrap().to_vec1::<f32>().unwrap(), chosen);
            let second = columns.gather_tensor(&tensor.narrow(0, 1, 1).unwrap(), 1).unwrap();
            assert_eq!(second.to_vec2::<f32>().unwrap()[0], chosen[chosen.len() / 2..]);
            assert_eq!(columns.scatter(3, &chosen), spread);
        }
    }

    #[test]
    fn columns_that_there_are_not_are_refused() {
        let table = |width, indices| Columns::PerExample(ColumnTable { width, indices });
        assert!(matches!(Columns::One(3).of_each(2, 3), Err(Error::Column { column: 3, classes: 3 })));
        for (columns, found) in [(table(2, vec![0, 1]), [1, 2]), (table(0, vec![]), [0, 0])] {
            match columns.of_each(2, 3) {
                Err(Error::Shape { found: other, .. }) => assert_eq!(other, found),
                other => panic!("{other:?}"),
            }
        }
        let scores = Tensor::from_slice(&[1.0_f32; 6], (2, 3), &Device::Cpu).unwrap();
        for (columns, first) in [(table(2, vec![0, 1]), 0), (table(1, vec![0, 1, 2]), 2)] {
            assert!(matches!(columns.gather_tensor(&scores, first), Err(Error::Shape { .. })), "{columns:?}");
        }
        assert!(matches!(table(1, vec![0, 3]).gather_tensor(&scores, 0), Err(Error::Tensor(_))));
    }

    #[test]
    fn selecting_rows_selects_their_columns() {
        let table = ColumnTable { width: 2, indices: vec![0, 1, 2, 3, 4, 5] };
        let chosen = Columns::PerExample(table).select(&[2, 0]);
        assert_eq!(chosen, Columns::PerExample(ColumnTable { width: 2, indices: vec![4, 5, 0, 1] }));
        assert!(matches!(chosen.validate(5), Err(Error::Column { column: 5, classes: 5 })));
    }
}
