//! Section 3's task: classifiers of many classes, asked one question. The judge is [`robin_core::OneClass`].

use robin_attacks::Loss;
use robin_attacks::objectives::{OneClassCrossEntropy, OneClassMargin};
use robin_core::{Batch, Error as CoreError, Objective, Result as CoreResult, Scores, Strategy};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Drives examples of `class` out of it and all others into it (paper 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneClassStrategy {
    /// A label of the examples, and a score column.
    pub class: u32,
    /// `ce` (the paper's) or `margin`.
    pub loss: Loss,
}

impl Strategy for OneClassStrategy {
    fn prepare(&self, clean: &Scores, batch: &Batch) -> CoreResult<Vec<Box<dyn Objective>>> {
        clean.to_vec()?; // finite
        let labels = batch.labels.clone();
        match self.loss {
            Loss::Ce => Ok(vec![Box::new(OneClassCrossEntropy::new(self.class, labels))]),
            Loss::Margin => Ok(vec![Box::new(OneClassMargin::new(self.class, labels))]),
            other => Err(CoreError::Unsuited {
                what: format!("loss {other}"),
                with: "the question whether an example is of one class".to_owned(),
                allowed: "ce and margin",
            }),
        }
    }
}

/// Share of right answers, over all examples and over both groups alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneClassAccuracy {
    /// Over all examples. Of ten classes alike, "no" to everything is right nine times in ten.
    pub all: f64,
    /// Mean of the accuracies on the class's own examples and on all others.
    pub balanced: f64,
    /// Number of the class's own examples, and of all others.
    pub n: [usize; 2],
}

impl OneClassAccuracy {
    /// Of verdicts `misclassified` `[n]` on examples with `labels` `[n]`.
    ///
    /// # Errors
    /// [`Error::Examples`] if the lengths differ, [`Error::Empty`] if a group has no example.
    pub fn of(misclassified: &[bool], labels: &[u16], class: u32) -> Result<Self> {
        if misclassified.len() != labels.len() {
            return Err(Error::Examples {
                what: "labels",
                found: labels.len(),
                expected: misclassified.len(),
            });
        }
        let (mut n, mut correct) = ([0_usize; 2], [0_usize; 2]);
        for (&misclassified, &label) in misclassified.iter().zip(labels) {
            let group = usize::from(u32::from(label) != class);
            n[group] += 1;
            correct[group] += usize::from(!misclassified);
        }
        if n.contains(&0) {
            return Err(Error::Empty);
        }
        let share = |group: usize| correct[group] as f64 / n[group] as f64;
        Ok(Self {
            all: (correct[0] + correct[1]) as f64 / misclassified.len() as f64,
            balanced: f64::midpoint(share(0), share(1)),
            n,
        })
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use robin_core::{OneClass, Seed};
    use robin_data::{Dataset, Split};
    use robin_testkit::Linear;

    use super::*;
    use crate::{Evaluation, Options};

    #[test]
    fn both_accuracies_are_counted_by_group() {
        let misclassified = [true, false, false, false, true];
        let found = OneClassAccuracy::of(&misclassified, &[3, 3, 0, 1, 2], 3).unwrap();
        assert_eq!(found.n, [2, 3]);
        assert_abs_diff_eq!(found.all, 0.6, epsilon = 1e-15);
        assert_abs_diff_eq!(found.balanced, 0.5 * (0.5 + 2.0 / 3.0), epsilon = 1e-15);
        assert!(matches!(OneClassAccuracy::of(&misclassified, &[0; 5], 3), Err(Error::Empty)));
        assert!(matches!(OneClassAccuracy::of(&misclassified, &[0; 4], 0), Err(Error::Examples { .. })));
    }

    /// Three classes along one pixel, with borders at 0.4 (0 and 1) and 0.6 (1 and 2).
    fn line() -> Linear {
        Linear::new(vec![-1.0, 0.0, 1.0], vec![0.4, 0.0, -0.6], [1, 1, 1])
    }

    /// The border between classes 1 and 2 is no border of the question whether an example is of class 0.
    #[test]
    fn only_the_borders_of_the_class_count_and_clean_errors_are_misclassified() {
        let (model, criterion) = (line(), OneClass { class: 0 });
        // Pixels 0.5 (1, and one labelled 2: a confusion that is no error), 0.3 (0), 0.2 (0), 0.3 labelled 1: wrong.
        let (pixels, labels) = (vec![128, 128, 77, 51, 77], vec![1, 2, 0, 0, 1]);
        let data = Dataset::new("line", 3, Split::Test, [1, 1, 1], pixels, labels).unwrap();
        let cancel = robin_core::CancelToken::new();
        let mut options = Options { batch_size: 2, cancel: &cancel, observer: &mut () };
        let evaluation = Evaluation { model: &model, criterion: &criterion, data: &data, seed: Seed::new(0) };
        let clean = evaluation.clean(&mut options).unwrap();
        assert_eq!(clean.misclassified, [false, false, false, false, true]);
        let misclassified = |epsilon: &str, loss| {
            let config = robin_attacks::Config::Pgd(robin_attacks::pgd::Settings {
                steps: 5,
                restarts: 1,
                step_size: robin_attacks::StepSize::STANDARD,
                start: robin_attacks::Start::Clean,
            });
            let budget =
                robin_core::Budget { norm: robin_core::Norm::Linf, epsilon: epsilon.parse().unwrap() };
            let attack = config.build(budget).unwrap();
            let strategy = OneClassStrategy { class: 0, loss };
            let mut options = Options { batch_size: 2, cancel: &cancel, observer: &mut () };
            evaluation.robust(&clean, attack.as_ref(), &strategy, &mut options).unwrap().worst.misclassified
        };
        for loss in [Loss::Ce, Loss::Margin] {
            // 0.5 is 0.1 from both borders: far enough from the only one that counts.
            assert_eq!(misclassified("0.095", loss), [false, false, false, false, true], "{loss}");
            assert_eq!(misclassified("0.105", loss), [true, true, true, false, true], "{loss}");
        }
    }

    #[test]
    fn a_loss_without_a_meaning_here_is_refused() {
        let model = line();
        let batch = model.batch(2, Seed::new(0));
        let clean = Scores::from_vec(vec![0.0; 6], 2, 3).unwrap();
        let strategy = OneClassStrategy { class: 0, loss: Loss::Dlr };
        let message = strategy.prepare(&clean, &batch).err().unwrap().to_string();
        assert!(message.contains("loss dlr") && message.contains("ce and margin"), "{message}");
    }
}
