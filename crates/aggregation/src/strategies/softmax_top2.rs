//! The two highest arms as a network of two classes.

use robin_attacks::Loss;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::check;
use super::rank::{Rank, ranked_objective};
use super::view::View;

/// Maximises the loss of `(s_a1, s_a2)` against a1, for the two highest arms a1, a2 (paper B.1, SOFTMAX TOP 2).
/// Ranked on the clean image, two arms run per example.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoftmaxTop2 {
    pub(super) loss: Loss,
    pub(super) rank: Rank,
}

impl Strategy for SoftmaxTop2 {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("softmax-top2", clean, batch)?;
        let loss = self.loss;
        let objective = move |table: ColumnTable| -> Box<dyn Objective> {
            let first = vec![0; table.len()];
            Box::new(View::new(Columns::PerExample(table), loss.against(first)))
        };
        Ok(vec![ranked_objective(self.rank, 2, clean, objective)?])
    }
}
