//! How much of a batch is perturbed.

use serde::{Deserialize, Serialize};

/// Share of each batch that is replaced by its perturbed version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proportion {
    /// `1 - (1 + cos(pi t / T)) / 2` in epoch `t = 1...T`: almost nothing at first, everything at the end
    /// (paper, section 5).
    Cosine,
    /// Everything, always.
    All,
}

impl Proportion {
    /// The share in epoch `epoch`, counted from 0, of `epochs`.
    pub fn at(self, epoch: usize, epochs: usize) -> f64 {
        match self {
            Proportion::Cosine => {
                let time = (epoch + 1) as f64 / epochs as f64;
                1.0 - (1.0 + libm::cos(std::f64::consts::PI * time)) / 2.0
            }
            Proportion::All => 1.0,
        }
    }

    /// The number of perturbed examples in a batch of `batch_size`: the share of it, rounded to nearest.
    pub fn count(self, epoch: usize, epochs: usize, batch_size: usize) -> usize {
        (self.at(epoch, epochs) * batch_size as f64).round() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_from_almost_nothing_to_all() {
        let counts: Vec<usize> = (0..20).map(|epoch| Proportion::Cosine.count(epoch, 20, 128)).collect();
        assert_eq!(counts[0], 1); // 1 - (1 + cos(pi / 20)) / 2 = 0.00616 of 128
        assert_eq!(counts[9], 64);
        assert_eq!(counts[19], 128);
        assert!(counts.is_sorted());
        assert_eq!(Proportion::All.count(0, 20, 128), 128);
    }
}
