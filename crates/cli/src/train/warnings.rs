//! What a training warns of: in words, and what that means.

use robin_evaluation::Explained;
use robin_training::Warning;

const ONE_CLASS: Explained = Explained {
    name: "one-class",
    means: "Every prediction of an epoch was the same class. It happens in the first epochs of hard trainings; at the end it means \
            that nothing was learned.",
    todo: "If it stays, lower --learning-rate or the training budget (--epsilon), and look at the labels with `data info`.",
};

const NOTHING_LEARNED: Explained = Explained {
    name: "nothing-learned",
    means: "At the end of its training the network is no better than guessing, class by class. Whatever is attacked then says \
            nothing about robustness.",
    todo: "Lower --learning-rate or --momentum, train longer (--epochs), or begin with a smaller --epsilon.",
};

const CATASTROPHIC_OVERFITTING: Explained = Explained {
    name: "catastrophic-overfitting",
    means: "The accuracy on held-out images under attack collapsed while that on the training attack stood: the network has \
            learned to fool the attack that it is trained with (Wong et al. 2020).",
    todo: "Take the best epoch's weights, which are kept beside the last, and train with more --steps or a smaller --step-size.",
};

const CHECKPOINT_DAMAGED: Explained = Explained {
    name: "checkpoint-damaged",
    means: "A checkpoint cannot be read, so the training went on from the one before; the result is the same.",
    todo: "Nothing, if it happens once after a crash. Otherwise check the disk.",
};

/// Every warning of a training.
pub(crate) static WARNINGS: &[&Explained] =
    &[&ONE_CLASS, &NOTHING_LEARNED, &CATASTROPHIC_OVERFITTING, &CHECKPOINT_DAMAGED];

/// What is behind a warning.
fn explained(warning: &Warning) -> &'static Explained {
    match warning {
        Warning::OneClass { .. } => &ONE_CLASS,
        Warning::NothingLearned { .. } => &NOTHING_LEARNED,
        Warning::CatastrophicOverfitting { .. } => &CATASTROPHIC_OVERFITTING,
        Warning::CheckpointDamaged { .. } => &CHECKPOINT_DAMAGED,
    }
}

/// A warning in words, its name first.
pub(super) fn words(warning: &Warning) -> String {
    format!("{}: {warning}", explained(warning).name)
}
