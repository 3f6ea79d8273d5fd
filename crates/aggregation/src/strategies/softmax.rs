//! All scores at once, as if they were the logits of one network.

use robin_attacks::Loss;
use robin_core::{Batch, Objective, Result, Scores, Strategy};

use super::check;

/// Maximises the loss of all scores against the label (paper 4.2, SOFTMAX).
#[derive(Debug, Clone, Copy)]
pub(super) struct Softmax {
    pub(super) loss: Loss,
}

impl Strategy for Softmax {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> Result<Vec<Box<dyn Objective>>> {
        check("softmax", clean, batch)?;
        self.loss.prepare(clean, &batch.labels)
    }
}
