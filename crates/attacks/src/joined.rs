//! Joining several runs of one attack per example: restarts, objectives, candidates.

use robin_core::attack::Verdict;
use robin_core::{Adversarial, Batch, Cost, Iterate, Result};

use crate::images::Images;

/// What is kept of the runs so far.
///
/// For `worst` and `last` alike: the first misclassified image wins; while there is none, the one with the highest
/// objective, the first on a tie. An example is *open* until its `last` is misclassified. Since the final point is
/// among those judged for `worst`, both verdicts are decided then, and no later run could change them: so
/// dropping closed examples is a saving that no result depends on.
pub(crate) struct Joined {
    worst: Kept,
    last: Kept,
    cost: Vec<Cost>,
}

/// One image of one example that a run proposes.
#[derive(Clone, Copy)]
pub(crate) struct Proposal<'a> {
    pub(crate) image: &'a [f32],
    pub(crate) verdict: Verdict,
    /// The objective there.
    pub(crate) value: f32,
}

impl Joined {
    pub(crate) fn new(batch: &Batch) -> Result<Self> {
        let kept = Kept { images: Images::new(&batch.images)?, verdicts: vec![None; batch.len()] };
        Ok(Self { worst: kept.clone(), last: kept, cost: vec![Cost::default(); batch.len()] })
    }

    /// Examples that a further run can still change.
    pub(crate) fn open_rows(&self) -> Vec<usize> {
        (0..self.cost.len()).filter(|&row| self.is_open(row)).collect()
    }

    pub(crate) fn is_open(&self, row: usize) -> bool {
        !self.last.is_misclassified(row)
    }

    pub(crate) fn offer(&mut self, row: usize, worst: &Proposal<'_>, last: &Proposal<'_>) {
        debug_assert!(
            worst.verdict.misclassified || !last.verdict.misclassified,
            "the final point is a candidate for worst"
        );
        self.worst.offer(row, worst);
        self.last.offer(row, last);
    }

    /// Adds to the cost of one example.
    pub(crate) fn cost_mut(&mut self, row: usize) -> &mut Cost {
        &mut self.cost[row]
    }

    /// The result. Every example has had an offer.
    pub(crate) fn finish(self) -> Result<Adversarial> {
        Ok(Adversarial { worst: self.worst.finish()?, last: self.last.finish()?, cost: self.cost })
    }
}

#[derive(Clone)]
struct Kept {
    images: Images,
    verdicts: Vec<Option<(Verdict, f32)>>,
}

impl Kept {
    fn is_misclassified(&self, row: usize) -> bool {
        self.verdicts[row].is_some_and(|(verdict, _)| verdict.misclassified)
    }

    fn offer(&mut self, row: usize, proposal: &Proposal<'_>) {
        let better = match self.verdicts[row] {
            None => true,
            Some((kept, _)) if kept.misclassified => false,
            Some((_, value)) => proposal.verdict.misclassified || proposal.value > value,
        };
        if better {
            self.images.row_mut(row).copy_from_slice(proposal.image);
            self.verdicts[row] = Some((proposal.verdict, proposal.value));
        }
    }

    fn finish(self) -> Result<Iterate> {
        let verdicts =
            self.verdicts.into_iter().map(|kept| kept.expect("every example has had an offer").0).collect();
        Ok(Iterate { images: self.images.into_tensor()?, verdicts })
    }
}
