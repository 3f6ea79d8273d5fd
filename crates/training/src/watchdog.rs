//! Warnings: what a training does that is no error, and seldom what was wanted.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{EpochReport, Tally};

/// Robust accuracy that is left, as a share of the best so far, when catastrophic overfitting is suspected.
const COLLAPSE: f64 = 0.5;
/// Robust accuracy that must have been lost too: shares of small numbers are noise.
const LOSS: f64 = 0.1;
/// What the accuracy on the training attack may lose from one epoch to the next and still count as standing.
const STANDING: f64 = 0.05;
/// Balanced accuracy above chance below which a training has learned nothing, as a share of what is to be learned.
const NOTHING: f64 = 0.02;

/// Something to look at. It stops nothing and moves no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Warning {
    /// Every prediction of an epoch was the same class.
    OneClass {
        /// Epoch, from 1.
        epoch: usize,
        /// The class.
        class: usize,
    },
    /// Balanced accuracy of the last epoch is that of guessing.
    NothingLearned {
        /// Mean over the classes of the share that was classified correctly.
        balanced_accuracy: f64,
        /// `1 / classes`.
        chance: f64,
    },
    /// The held-out images' robust accuracy collapsed while the accuracy on the training attack stood: the network
    /// has learned to fool that attack (Wong et al. 2020, "Fast is better than free", section 5.4).
    CatastrophicOverfitting {
        /// Epoch, from 1.
        epoch: usize,
        /// Robust accuracy on the held-out images.
        robust_accuracy: f64,
        /// The best of an earlier epoch.
        best: f64,
        /// Accuracy on the training attack in this epoch.
        training_accuracy: f64,
    },
    /// A checkpoint that cannot be used; the one before is.
    CheckpointDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for Warning {
    /// What happened, and what to do about it, in a sentence without its full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: &f64| format!("{:.1}%", 100.0 * share);
        match self {
            Self::OneClass { epoch, class } => write!(
                f,
                "every prediction of epoch {epoch} was class {class}; in a first epoch that is common, later a lower learning \
                 rate helps"
            ),
            Self::NothingLearned { balanced_accuracy, chance } => write!(
                f,
                "the network has learned nothing: balanced accuracy {}, guessing {}; its robustness says nothing, and more \
                 epochs, more images or another learning rate are needed",
                percent(balanced_accuracy),
                percent(chance)
            ),
            Self::CatastrophicOverfitting { epoch, robust_accuracy, best, training_accuracy } => write!(
                f,
                "catastrophic overfitting in epoch {epoch}? held-out robust accuracy {} (best {}), training attack {}; more \
                 steps of the training attack help",
                percent(robust_accuracy),
                percent(best),
                percent(training_accuracy)
            ),
            Self::CheckpointDamaged { path, reason } => {
                write!(f, "{} is damaged ({reason}); the one before is used", path.display())
            }
        }
    }
}

/// What there is to say at the end of the epoch that `report` is about; `before` are the reports of earlier epochs.
pub(crate) fn after_epoch(report: &EpochReport, before: &[EpochReport], tally: &Tally) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(class) = tally.only_class() {
        warnings.push(Warning::OneClass { epoch: report.epoch, class });
    }
    if report.epoch == report.epochs {
        let (balanced_accuracy, chance) = (tally.balanced_accuracy(), 1.0 / tally.classes() as f64);
        if balanced_accuracy <= chance + NOTHING * (1.0 - chance) {
            warnings.push(Warning::NothingLearned { balanced_accuracy, chance });
        }
    }
    warnings.extend(catastrophic_overfitting(report, before));
    warnings
}

fn catastrophic_overfitting(report: &EpochReport, before: &[EpochReport]) -> Option<Warning> {
    let now = report.validation?;
    let training_accuracy = now.training_accuracy?;
    let earlier = || before.iter().filter_map(|report| report.validation);
    let best = earlier().map(|validation| validation.robust_accuracy).reduce(f64::max)?;
    let last = earlier().filter_map(|validation| validation.training_accuracy).next_back()?;
    let collapsed = now.robust_accuracy < COLLAPSE * best && now.robust_accuracy < best - LOSS;
    let stands = training_accuracy >= last - STANDING;
    (collapsed && stands).then_some(Warning::CatastrophicOverfitting {
        epoch: report.epoch,
        robust_accuracy: now.robust_accuracy,
        best,
        training_accuracy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ValidationReport;

    fn report(epoch: usize, robust_accuracy: f64, training_accuracy: f64) -> EpochReport {
        let training_accuracy = Some(training_accuracy);
        let validation = ValidationReport { clean_accuracy: 0.9, robust_accuracy, training_accuracy };
        EpochReport {
            epoch,
            epochs: 9,
            learning_rate: 0.1,
            perturbed: 8,
            loss: 1.0,
            accuracy: 0.5,
            validation: Some(validation),
        }
    }

    #[test]
    fn a_collapse_is_told_from_a_training_that_falls_apart_as_a_whole() {
        let before = [report(1, 0.3, 0.3), report(2, 0.4, 0.42)];
        let warned = |robust, training| catastrophic_overfitting(&report(3, robust, training), &before);
        let collapse = Warning::CatastrophicOverfitting {
            epoch: 3,
            robust_accuracy: 0.01,
            best: 0.4,
            training_accuracy: 0.8,
        };
        assert_eq!(warned(0.01, 0.8), Some(collapse));
        assert_eq!(warned(0.25, 0.8), None, "a dip is no collapse");
        assert_eq!(warned(0.01, 0.1), None, "the training attack succeeds as well");
        assert_eq!(catastrophic_overfitting(&report(1, 0.0, 0.9), &[]), None);
        let weak = [report(1, 0.08, 0.08)];
        assert_eq!(catastrophic_overfitting(&report(2, 0.0, 0.1), &weak), None, "there was little to lose");
    }

    #[test]
    fn one_class_and_guessing_are_named() {
        let mut tally = Tally::new(2);
        tally.add(&[0, 0, 0, 1], &[0, 0, 0, 0]);
        let last = EpochReport { epoch: 9, validation: None, ..report(9, 0.0, 0.0) };
        let expected = [
            Warning::OneClass { epoch: 9, class: 0 },
            Warning::NothingLearned { balanced_accuracy: 0.5, chance: 0.5 },
        ];
        assert_eq!(after_epoch(&last, &[], &tally), expected);
        let early = EpochReport { epoch: 8, ..last };
        assert_eq!(after_epoch(&early, &[], &tally), [Warning::OneClass { epoch: 8, class: 0 }]);
        tally.add(&[1], &[1]);
        assert_eq!(after_epoch(&last, &[], &tally), []);
    }
}
