//! Chosen score columns out of all of a network's outputs, and gradients on them back.

use robin_core::Columns;

/// The chosen of all `outputs` `[n, classes]`, row by row.
pub(crate) fn pick(columns: &Columns, classes: usize, outputs: Vec<f32>) -> Vec<f32> {
    if let Columns::All = columns {
        return outputs;
    }
    let rows = outputs.chunks_exact(classes).enumerate();
    rows.flat_map(|(row, outputs)| chosen(columns, row).map(move |column| outputs[column])).collect()
}

/// Gradients on the chosen columns as gradients on all `[n, classes]`; a column that is chosen twice has both.
pub(crate) fn spread(columns: &Columns, classes: usize, gradients: &[f32]) -> Vec<f32> {
    if let Columns::All = columns {
        return gradients.to_vec();
    }
    let width = columns.width(classes);
    let mut all = vec![0.0; gradients.len() / width.max(1) * classes];
    let rows = all.chunks_exact_mut(classes).zip(gradients.chunks_exact(width.max(1))).enumerate();
    for (row, (all, gradients)) in rows {
        for (column, gradient) in chosen(columns, row).zip(gradients) {
            all[column] += gradient;
        }
    }
    all
}

/// The columns chosen for one example; only for choices other than all.
fn chosen(columns: &Columns, row: usize) -> impl Iterator<Item = usize> + '_ {
    let (one, table) = match columns {
        Columns::All => (None, &[][..]),
        Columns::One(column) => (Some(*column), &[][..]),
        Columns::PerExample(table) => (None, table.row(row)),
    };
    one.into_iter().chain(table.iter().map(|&column| column as usize))
}

#[cfg(test)]
mod tests {
    use robin_core::ColumnTable;

    use super::*;

    #[test]
    fn columns_by_hand() {
        let outputs = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let columns = Columns::PerExample(ColumnTable { width: 2, indices: vec![2, 2, 0, 1] });
        assert_eq!(pick(&columns, 3, outputs.clone()), [3.0, 3.0, 4.0, 5.0]);
        assert_eq!(spread(&columns, 3, &[1.0, 2.0, 3.0, 4.0]), [0.0, 0.0, 3.0, 3.0, 4.0, 0.0]);
        assert_eq!(pick(&Columns::One(1), 3, outputs.clone()), [2.0, 5.0]);
        assert_eq!(spread(&Columns::One(1), 3, &[7.0, 8.0]), [0.0, 7.0, 0.0, 0.0, 8.0, 0.0]);
        assert_eq!(pick(&Columns::All, 3, outputs.clone()), outputs);
        assert_eq!(spread(&Columns::All, 3, &outputs), outputs);
    }
}
