//! Probabilities of one example, kept so that none of their differences loses its digits.

/// `log softmax` of one row of logits, and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct LogSoftmax {
    /// `log p_j = z_j - log(sum_i exp(z_i))`, exact also where `p_j` is nearly 1.
    pub(crate) log: Vec<f64>,
    /// `p_j`; 0 where f64 underflows.
    pub(crate) p: Vec<f64>,
}

impl LogSoftmax {
    /// Of finite `logits`.
    pub(crate) fn of<T: Copy + Into<f64>>(logits: &[T]) -> Self {
        let logits: Vec<f64> = logits.iter().map(|&logit| logit.into()).collect();
        let highest = (0..logits.len()).fold(0, |best, at| if logits[at] > logits[best] { at } else { best });
        let top = logits[highest];
        // The highest logit's own 1 is kept out of the sum, so that the others are not rounded away.
        let others = logits.iter().enumerate().filter(|(at, _)| *at != highest);
        let rest: f64 = others.map(|(_, logit)| (logit - top).exp()).sum();
        let normaliser = rest.ln_1p();
        let log: Vec<f64> = logits.iter().map(|logit| (logit - top) - normaliser).collect();
        let p = log.iter().map(|log| log.exp()).collect();
        Self { log, p }
    }

    /// `1 - p_j`, as the sum of the others.
    pub(crate) fn rest(&self, j: usize) -> f64 {
        self.p.iter().enumerate().filter(|(at, _)| *at != j).map(|(_, p)| p).sum()
    }

    /// `other_j - p_j`, without cancellation where both are nearly 1.
    pub(crate) fn excess_of(&self, other: &Self, j: usize) -> f64 {
        if self.p[j] > 0.5 && other.p[j] > 0.5 {
            self.rest(j) - other.rest(j)
        } else {
            other.p[j] - self.p[j]
        }
    }
}
