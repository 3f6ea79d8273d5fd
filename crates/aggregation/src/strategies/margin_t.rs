//! One attack per wrong class, on the two scores that decide it.

use robin_attacks::Loss;
use robin_core::scores::ranked;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::check;
use super::view::View;

/// k - 1 attacks: the r-th maximises the loss of `(s_y, s_t)` against y, where t is the r-th highest wrong class
/// of the clean image; with `margin` that is `s_t - s_y` itself. Whoever breaks an argmax must bring some t
/// above y, so these together are the attack that an argmax of scores has to fear. Two arms run per example.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarginT {
    pub(super) loss: Loss,
}

impl Strategy for MarginT {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("margin-t", clean, batch)?;
        let classes = clean.columns();
        let wrong: Vec<Vec<u32>> = clean
            .to_vec()?
            .chunks_exact(classes)
            .zip(&batch.labels)
            .map(|(row, &label)| ranked(row).into_iter().filter(|&class| class != label).collect())
            .collect();
        let objective = |rank: usize| {
            let indices = wrong.iter().zip(&batch.labels).flat_map(|(wrong, &label)| [label, wrong[rank]]);
            let table = ColumnTable { width: 2, indices: indices.collect() };
            let inner = self.loss.against(vec![0; batch.len()]);
            Box::new(View::new(Columns::PerExample(table), inner)) as Box<dyn Objective>
        };
        Ok((0..classes - 1).map(objective).collect())
    }
}
