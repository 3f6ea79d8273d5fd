//! The two arms that compete.

use robin_attacks::Loss;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;
use super::normalised::{Combine, Normalised};
use super::rank::{Rank, ranked_objective};

/// Maximises `(b_a1(1) + b_a2(0)) / 2` for the two highest arms a1, a2 (the lower class first on a tie): lowers
/// the first, raises the second (paper 4.2, TOP 2). Ranked on the clean image, two arms run per example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Top2 {
    pub(super) loss: Loss,
    pub(super) rank: Rank,
    pub(super) combine: Combine,
}

impl Strategy for Top2 {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("top2", clean, batch)?;
        let Self { loss, combine, .. } = *self;
        let objective = move |table: ColumnTable| -> Box<dyn Objective> {
            let n = table.len();
            let arms = ArmLoss::new(loss, Columns::PerExample(table), n, [true, false].repeat(n));
            match combine {
                Combine::Raw => Box::new(arms),
                Combine::Normalised => Box::new(Normalised::new(arms)),
            }
        };
        Ok(vec![ranked_objective(self.rank, 2, clean, objective)?])
    }
}
