//! The right arm against its rival, at several weights.

use robin_attacks::Loss;
use robin_core::scores::ranked;
use robin_core::{Batch, ColumnTable, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;

/// One attack per weight w: maximises `(1 - w) b_y(1) + w b_t(0)`, t being the highest wrong class of the clean
/// image.
///
/// Arms that were trained apart have scales of their own, and a sum of their losses follows whichever is
/// larger; TOP 2 fixes w at 1/2. Here several weights are tried, and an example is misclassified if any of them
/// breaks it. Two arms run per example.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reweighted {
    pub(super) loss: Loss,
    /// Each in (0, 1).
    pub(super) weights: &'static [f64],
}

impl Strategy for Reweighted {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("reweighted", clean, batch)?;
        let rival = |row: &[f32], label: u32| {
            ranked(row).into_iter().find(|&class| class != label).expect("there are two columns or more")
        };
        let scores = clean.to_vec()?;
        let rows = scores.chunks_exact(clean.columns()).zip(&batch.labels);
        let indices = rows.flat_map(|(row, &label)| [label, rival(row, label)]).collect();
        let columns = Columns::PerExample(ColumnTable { width: 2, indices });
        let arms = ArmLoss::new(self.loss, columns, batch.len(), [true, false].repeat(batch.len()));
        let objective =
            |&weight: &f64| Box::new(arms.clone().weighted(vec![1.0 - weight, weight])) as Box<dyn Objective>;
        Ok(self.weights.iter().map(objective).collect())
    }
}
