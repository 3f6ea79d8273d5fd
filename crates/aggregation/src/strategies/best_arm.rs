//! Every arm by itself.

use robin_attacks::Loss;
use robin_core::{Batch, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;

/// One attack per arm: the j-th maximises `b_j(1[y = j])`, at the cost of one arm per step. An example is misclassified
/// if any of the results misleads the aggregate (paper 4.2, BEST ARM).
#[derive(Debug, Clone, Copy)]
pub(super) struct BestArm {
    pub(super) loss: Loss,
}

impl Strategy for BestArm {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("best-arm", clean, batch)?;
        let arm = |column: usize| {
            let targets = batch.labels.iter().map(|&label| label as usize == column).collect();
            Box::new(ArmLoss::new(self.loss, Columns::One(column), batch.len(), targets))
                as Box<dyn Objective>
        };
        Ok((0..clean.columns()).map(arm).collect())
    }
}
