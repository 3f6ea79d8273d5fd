//! Every arm at once.

use robin_attacks::Loss;
use robin_core::{Batch, Columns, Objective, Result, Scores, Strategy};

use super::arm_loss::ArmLoss;
use super::check;
use super::normalised::{Combine, Normalised};

/// Maximises `(1 / k) sum_i b_i(1[y = i])`: the mean of what BEST ARM's attacks maximise (paper B.1, AVERAGE
/// GRADIENT). Raw, the unsaturated arms decide the direction; normalised, every arm has the same say.
#[derive(Debug, Clone, Copy)]
pub(super) struct AverageGradient {
    pub(super) loss: Loss,
    pub(super) combine: Combine,
}

impl Strategy for AverageGradient {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("average-gradient", clean, batch)?;
        let arms = 0..clean.columns();
        let targets =
            batch.labels.iter().flat_map(|&label| arms.clone().map(move |arm| arm == label as usize));
        let arms = ArmLoss::new(self.loss, Columns::All, batch.len(), targets.collect());
        Ok(vec![match self.combine {
            Combine::Raw => Box::new(arms),
            Combine::Normalised => Box::new(Normalised::new(arms)),
        }])
    }
}
