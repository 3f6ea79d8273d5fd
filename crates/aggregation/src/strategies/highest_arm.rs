//! The arm that wins, by itself.

use robin_attacks::Loss;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;
use super::rank::{Rank, ranked_objective};

/// Maximises `b_a1(1)` for the highest arm a1: lowers it until another one wins (paper B.1, HIGHEST ARM). Ranked
/// on the clean image, one arm runs per example, and nothing breaks that BEST ARM does not: where the clean
/// image is right, a1 is the label's arm, whose attack is one of BEST ARM's.
#[derive(Debug, Clone, Copy)]
pub(super) struct HighestArm {
    pub(super) loss: Loss,
    pub(super) rank: Rank,
}

impl Strategy for HighestArm {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("highest-arm", clean, batch)?;
        let loss = self.loss;
        let objective = move |table: ColumnTable| -> Box<dyn Objective> {
            let n = table.len();
            Box::new(ArmLoss::new(loss, Columns::PerExample(table), n, vec![true; n]))
        };
        Ok(vec![ranked_objective(self.rank, 1, clean, objective)?])
    }
}
