//! The two arms that compete for the clean image.

use robin_attacks::Loss;
use robin_core::scores::ranked;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;

/// Raises `(b_a1(1) + b_a2(0)) / 2` for the two highest arms a1, a2 on the clean image (the lower class first
/// on a tie): lowers the first, raises the second (paper 4.2, TOP 2). Two arms run per example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Top2 {
    pub(super) loss: Loss,
}

impl Strategy for Top2 {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("top2", clean, batch)?;
        let scores = clean.to_vec()?;
        let indices =
            scores.chunks_exact(clean.columns()).flat_map(|row| ranked(row).into_iter().take(2)).collect();
        let targets = [true, false].repeat(batch.len());
        let columns = Columns::PerExample(ColumnTable { width: 2, indices });
        Ok(vec![Box::new(ArmLoss::new(self.loss, columns, targets))])
    }
}
