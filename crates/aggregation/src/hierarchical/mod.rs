//! A coarse network that chooses a group, and a fine one for each group.

mod split;
pub mod strategies;
#[cfg(test)]
mod tests;

use robin_core::{Classifier, scores::ranked};

use crate::about::{About, Networks};
use crate::combination::{Combination, Combined, log_softmax, log_softmax_back};
use crate::{Error, Result};
pub use split::{Split, SplitName};

pub(crate) const FIRST5_LAST5: About = About {
    summary: "a coarse network, then a fine one for classes 0-4 and one for 5-9; routed",
    networks: Networks::Stages(SplitName::First5Last5),
    arms: true,
    log_odds: false,
    build: |networks| hierarchical(SplitName::First5Last5.split(), networks),
};

pub(crate) const ANIMALS_OBJECTS: About = About {
    summary: "a coarse network, then a fine one for animals and one for objects; routed",
    networks: Networks::Stages(SplitName::AnimalsObjects),
    arms: true,
    log_odds: false,
    build: |networks| hierarchical(SplitName::AnimalsObjects.split(), networks),
};

/// The decision is hard routing (paper C): the coarse network's highest group, then that group's fine
/// network's highest class. The scores `log p(group) + log p(class | group)` are for attacks on the whole;
/// they need not agree with the decision.
///
/// Columns beyond the classes are the stages' own logits: column `k + g` is the coarse network's logit of
/// group g, column `k + groups + c` the logit of class c in its group's fine network. Attacks on one stage
/// ask for those, and only that stage's network runs.
pub(crate) struct Hierarchical {
    split: Split,
}

/// Aggregates the coarse network and one fine network per group, in the split's order.
///
/// # Errors
/// [`Error::Stages`] if their number or their numbers of outputs do not fit `split`.
fn hierarchical(split: Split, networks: Vec<Box<dyn Classifier>>) -> Result<Box<dyn Classifier>> {
    let found: Vec<usize> = networks.iter().map(|network| network.num_classes()).collect();
    let expected: Vec<usize> =
        std::iter::once(split.groups().len()).chain(split.groups().iter().map(Vec::len)).collect();
    if found != expected {
        return Err(Error::Stages { found, expected });
    }
    Ok(Box::new(Combined { networks, combination: Hierarchical { split } }))
}

impl Hierarchical {
    /// What `column` is.
    fn meaning(&self, column: usize) -> Meaning {
        let (classes, groups) = (self.split.num_classes(), self.split.groups().len());
        match column {
            class if class < classes => Meaning::Class(class),
            group if group < classes + groups => Meaning::Group(group - classes),
            fine => Meaning::Fine(fine - classes - groups),
        }
    }
}

enum Meaning {
    Class(usize),
    Group(usize),
    Fine(usize),
}

impl Combination for Hierarchical {
    fn num_classes(&self) -> usize {
        self.split.num_classes()
    }

    fn num_columns(&self) -> usize {
        2 * self.split.num_classes() + self.split.groups().len()
    }

    fn networks(&self, column: usize) -> Vec<usize> {
        match self.meaning(column) {
            Meaning::Class(class) => vec![0, 1 + self.split.place(class).0],
            Meaning::Group(_) => vec![0],
            Meaning::Fine(class) => vec![1 + self.split.place(class).0],
        }
    }

    fn score(&self, column: usize, outputs: &[&[f32]]) -> f64 {
        match self.meaning(column) {
            Meaning::Class(class) => {
                let (group, at) = self.split.place(class);
                log_softmax(outputs[0], group) + log_softmax(outputs[1 + group], at)
            }
            Meaning::Group(group) => f64::from(outputs[0][group]),
            Meaning::Fine(class) => {
                let (group, at) = self.split.place(class);
                f64::from(outputs[1 + group][at])
            }
        }
    }

    fn pull_back(&self, column: usize, upstream: f64, outputs: &[&[f32]], gradient: &mut [Vec<f64>]) {
        match self.meaning(column) {
            Meaning::Class(class) => {
                let (group, at) = self.split.place(class);
                log_softmax_back(outputs[0], group, upstream, &mut gradient[0]);
                log_softmax_back(outputs[1 + group], at, upstream, &mut gradient[1 + group]);
            }
            Meaning::Group(group) => gradient[0][group] += upstream,
            Meaning::Fine(class) => {
                let (group, at) = self.split.place(class);
                gradient[1 + group][at] += upstream;
            }
        }
    }

    fn decides_by_scores(&self) -> bool {
        false
    }

    fn decide(&self, outputs: &[&[f32]]) -> u32 {
        let group = ranked(outputs[0])[0] as usize;
        self.split.groups()[group][ranked(outputs[1 + group])[0] as usize]
    }
}
