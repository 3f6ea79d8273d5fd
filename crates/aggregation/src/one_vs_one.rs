//! One binary classifier per pair of classes; most votes win.

use robin_core::{Classifier, scores::ranked};

use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, log_odds, log_odds_back};
use crate::{Error, Result, arms};

pub(crate) const ABOUT: About = About {
    summary: "a network per pair of classes, (0,1), (0,2)...; most votes win",
    networks: Networks::Pairs,
    arms: true,
    log_odds: false,
    build: one_vs_one,
};

/// One-vs-one (paper 7): for each pair a < b, in the order (0,1), (0,2), ..., (1,2), ..., a network with
/// log-odds `s` for b over a. A class's score is the sum of the log-odds for it; the decision is the class
/// with most votes, ties misclassified by that sum (then the lower class).
pub(crate) struct OneVsOne {
    classes: usize,
}

/// Aggregates `pairs` networks of one or two outputs.
///
/// # Errors
/// [`Error::Pairs`] unless there are k (k - 1) / 2 of them for some k >= 2; [`Error::ArmOutputs`],
/// [`Error::MixedOutputs`].
fn one_vs_one(pairs: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    let count = pairs.len();
    let classes = (2..).take_while(|k| k * (k - 1) / 2 <= count).last().unwrap_or(0);
    if classes < 2 || classes * (classes - 1) / 2 != count {
        return Err(Error::Pairs { networks: count });
    }
    arms::check(&pairs)?;
    Ok(Box::new(Combined { networks: pairs, combination: OneVsOne { classes } }))
}

impl OneVsOne {
    /// The network of the pair a < b.
    fn network(&self, a: usize, b: usize) -> usize {
        a * (2 * self.classes - a - 1) / 2 + b - a - 1
    }

    /// Networks of `class`, and the sign with which each speaks for it.
    fn voters(&self, class: usize) -> impl Iterator<Item = (usize, f64)> {
        (0..self.classes).filter(move |&other| other != class).map(move |other| match other < class {
            true => (self.network(other, class), 1.0),
            false => (self.network(class, other), -1.0),
        })
    }
}

impl Combination for OneVsOne {
    fn num_classes(&self) -> usize {
        self.classes
    }

    fn networks(&self, column: usize) -> Vec<usize> {
        let mut networks: Vec<usize> = self.voters(column).map(|(network, _)| network).collect();
        networks.sort_unstable();
        networks
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        self.voters(column).map(|(network, sign)| sign * log_odds(outputs[network])).sum()
    }

    fn pull_back(&self, column: usize, upstream: f64, _: &[&[f32]], gradient: &mut [Vec<f64>]) {
        for (network, sign) in self.voters(column) {
            log_odds_back(sign * upstream, &mut gradient[network]);
        }
    }

    fn decides_by_scores(&self) -> bool {
        false
    }

    fn decide(&self, outputs: &[&[f32]]) -> u32 {
        let mut votes = vec![0_u32; self.classes];
        for a in 0..self.classes {
            for b in a + 1..self.classes {
                votes[if log_odds(outputs[self.network(a, b)]) > 0.0 { b } else { a }] += 1;
            }
        }
        let sums: Vec<f32> = (0..self.classes).map(|class| self.score(class, outputs) as f32).collect();
        let by_sum = ranked(&sums);
        // The first of equals, as by_sum has them: `max_by_key` would take the last.
        let first_of_most = by_sum.iter().rev().max_by_key(|&&class| votes[class as usize]);
        *first_of_most.expect("there are classes")
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use robin_core::Columns;
    use robin_testkit::Linear;

    use super::*;

    /// A network that says `s` whatever it sees.
    fn says(s: f32) -> Box<dyn Classifier> {
        Box::new(Linear::new(vec![0.0], vec![s], [1, 1, 1]))
    }

    fn decided(pairs: &[f32]) -> (Vec<f32>, u32) {
        let model = one_vs_one(pairs.iter().map(|&s| says(s)).collect()).unwrap();
        let images = Tensor::zeros((1, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let scores = model.scores(&images, &Columns::All).unwrap();
        assert!(model.decide(&scores).is_err(), "votes cannot be read off sums");
        (scores.to_vec().unwrap(), model.predict(&images).unwrap()[0])
    }

    #[test]
    fn most_votes_win_and_sums_break_ties() {
        // (0,1), (0,2), (1,2): class 0 wins both of its pairs narrowly, class 1 has the highest sum.
        assert_eq!(decided(&[-0.5, -0.5, -9.0]), (vec![1.0, 8.5, -9.5], 0));
        // A cycle, one vote each: the highest sum wins.
        assert_eq!(decided(&[-1.0, 2.0, -3.0]), (vec![-1.0, 2.0, -1.0], 1));
        // All undecided: the lower class of each pair has its vote.
        assert_eq!(decided(&[0.0, 0.0, 0.0]).1, 0);
    }

    #[test]
    fn pairs_are_counted() {
        for count in [0, 2, 4, 5, 7] {
            let message = match one_vs_one((0..count).map(|_| says(0.0)).collect()) {
                Ok(_) => panic!("{count} networks are no one-vs-one"),
                Err(error) => error.to_string(),
            };
            assert!(message.contains(&count.to_string()) && message.contains("45 for 10"), "{message}");
        }
        let model = one_vs_one((0..45).map(|_| says(0.0)).collect()).unwrap();
        assert_eq!(
            (model.num_classes(), model.networks(&Columns::One(3)), model.networks(&Columns::All)),
            (10, 9, 45)
        );
    }
}
