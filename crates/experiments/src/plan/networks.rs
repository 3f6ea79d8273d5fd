//! Which networks a classifier is made of.

use robin_aggregation::{Networks, SplitName};
use robin_data::{Groups, LabelMap};
use robin_training::Outputs;

use crate::spec::ClassifierKind;

/// One network of a classifier.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Behind the classifier's name, for people; empty for the only one.
    pub(crate) label: String,
    /// What it tells apart.
    pub(crate) labels: LabelMap,
    /// Its number under the root seed: networks that differ never begin with the same weights, and those that
    /// are the same in two classifiers are trained once.
    pub(crate) address: u64,
    /// Whether its batches are those that the recipe has for arms of one class against all others.
    pub(crate) arm: bool,
    /// What its outputs are to the loss.
    pub(crate) outputs: Outputs,
}

impl Part {
    fn new(label: String, labels: LabelMap, address: u64) -> Self {
        Self { label, labels, address, arm: false, outputs: Outputs::Classes }
    }
}

/// First addresses. 0 is the network with all classes, then come the arms of one-vs-all, as they always did.
mod address {
    pub(super) const MEMBERS: u64 = 1_000;
    pub(super) const PAIRS: u64 = 2_000;
    pub(super) const STAGES: u64 = 20_000;
    pub(super) const WIDER: u64 = 30_000;
    pub(super) const SHARED_TRUNK: u64 = 31_000;
    pub(super) const CLASS_COUNTS: u64 = 100_000;
}

/// Most members of an ensemble: their addresses end where those of pairs begin.
const MOST_MEMBERS: usize = (address::PAIRS - address::MEMBERS) as usize;
/// Most orders of the classes that are told apart.
pub(crate) const MOST_ORDERS: usize = 1_000_000;

/// `MODEL[count]` of section 3 under the class order number `number`, which is `order`.
pub(crate) fn class_count(count: usize, number: usize, order: Vec<u32>) -> Part {
    let address = address::CLASS_COUNTS + (number * (order.len() + 1) + count) as u64;
    Part::new(format!("model {count} order {number}"), LabelMap::Other { classes: count, order }, address)
}

/// The networks of a classifier for data of `classes` classes, in the order that its aggregate takes them. `members`
/// belongs to an ensemble; a network is `wider` than the row's if it has a width of its own.
///
/// # Errors
/// In words, what the classifier lacks or cannot be trained.
pub(crate) fn parts(
    kind: ClassifierKind,
    members: Option<usize>,
    wider: bool,
    classes: usize,
) -> Result<Vec<Part>, String> {
    let aggregation = match kind {
        ClassifierKind::Single => {
            // A wider network is another one.
            let address = if wider { address::WIDER } else { 0 };
            return Ok(vec![Part::new(String::new(), LabelMap::Identity, address)]);
        }
        ClassifierKind::Aggregate(aggregation) => aggregation,
    };
    if !aggregation.takes_members() && members.is_some() {
        return Err(format!("members belongs to an ensemble, not to {aggregation}"));
    }
    let classes = classes as u32;
    match aggregation.about().networks {
        Networks::Arms => Ok((0..classes)
            .map(|class| {
                let labels = LabelMap::OneVsAll { class };
                Part { arm: true, ..Part::new(format!("arm {class}"), labels, u64::from(class) + 1) }
            })
            .collect()),
        Networks::Pairs => Ok((0..classes)
            .flat_map(|a| (a + 1..classes).map(move |b| (a, b)))
            .map(|(a, b)| {
                // The aggregate takes log-odds for b over a, and label 1 is the map's first class.
                let labels = LabelMap::OneVsOne { a: b, b: a };
                Part::new(format!("pair {a}-{b}"), labels, address::PAIRS + u64::from(a * classes + b))
            })
            .collect()),
        Networks::Stages(split) => {
            let (groups, first) = match split {
                SplitName::AnimalsObjects => (Groups::AnimalsObjects, address::STAGES),
                SplitName::First5Last5 => (Groups::First5Last5, address::STAGES + 100),
            };
            let coarse = Part::new(format!("{split} coarse"), LabelMap::Coarse { groups }, first);
            let fine = (0..groups.members().len()).map(|group| {
                let labels = LabelMap::Fine { groups, group };
                Part::new(format!("{split} fine {group}"), labels, first + 1 + group as u64)
            });
            Ok(std::iter::once(coarse).chain(fine).collect())
        }
        Networks::Members => match members {
            Some(members) if (2..=MOST_MEMBERS).contains(&members) => Ok((0..members as u64)
                .map(|member| {
                    // The first one is the network that stands alone elsewhere.
                    let address = if member == 0 { 0 } else { address::MEMBERS + member };
                    Part::new(format!("member {member}"), LabelMap::Identity, address)
                })
                .collect()),
            Some(members) => Err(format!("an ensemble needs 2 to {MOST_MEMBERS} members, not {members}")),
            None => Err(format!("an ensemble needs members: 2 to {MOST_MEMBERS}")),
        },
        Networks::Trunk => {
            let trunk = Part::new("shared trunk".to_owned(), LabelMap::Identity, address::SHARED_TRUNK);
            Ok(vec![Part { outputs: Outputs::OneVsAll, ..trunk }])
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn of(kind: &str, members: Option<usize>) -> Result<Vec<Part>, String> {
        parts(kind.parse().unwrap(), members, false, 10)
    }

    #[test]
    fn every_network_has_its_own_address_and_fits_its_aggregate() {
        let mut seen: BTreeSet<u64> = BTreeSet::new();
        let kinds = [
            "one-vs-all",
            "one-vs-one",
            "shared-trunk",
            "hierarchical:animals-objects",
            "hierarchical:first5-last5",
        ];
        for kind in kinds {
            let parts = of(kind, None).unwrap();
            let ClassifierKind::Aggregate(aggregation) = kind.parse().unwrap() else { unreachable!() };
            let outputs: Vec<usize> = parts.iter().map(|part| part.labels.num_classes(10)).collect();
            assert_eq!(Some(outputs), aggregation.outputs(10, 2), "{kind}");
            for part in parts {
                assert!(seen.insert(part.address), "{kind} {}", part.label);
            }
        }
        for part in of("ensemble", Some(5)).unwrap() {
            assert!(seen.insert(part.address), "{}", part.label);
        }
        // The network that stands alone is the ensemble's first.
        assert!(seen.contains(&of("single", None).unwrap()[0].address));
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        for (kind, members) in
            [("ensemble", None), ("ensemble", Some(1)), ("ensemble", Some(100_000)), ("one-vs-all", Some(3))]
        {
            assert!(of(kind, members).unwrap_err().contains("ensemble"), "{kind}");
        }
    }
}
