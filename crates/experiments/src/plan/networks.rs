//! Which networks a classifier is made of.

use robin_aggregation::{Aggregation, SplitName};
use robin_data::{Groups, LabelMap};

use crate::spec::{ClassifierKind, ClassifierSpec};

/// One network of a classifier.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// Behind the classifier's name, for people; empty for the only one.
    pub(super) label: String,
    /// What it tells apart.
    pub(super) labels: LabelMap,
    /// Its number under the root seed: networks that differ never begin with the same weights, and those that
    /// are the same in two classifiers are trained once.
    pub(super) address: u64,
    /// Whether it is an arm of one class against all others, with the batches of such arms.
    pub(super) arm: bool,
}

/// First addresses. 0 is the network with all classes, then come the arms of one-vs-all, as they always did.
mod address {
    pub(super) const MEMBERS: u64 = 1_000;
    pub(super) const PAIRS: u64 = 2_000;
    pub(super) const STAGES: u64 = 20_000;
    pub(super) const WIDER: u64 = 30_000;
    pub(super) const CLASS_COUNTS: u64 = 100_000;
}

/// `MODEL[count]` of section 3 under the class order number `number`, which is `order`.
pub(super) fn class_count(count: usize, number: usize, order: Vec<u32>) -> Part {
    let classes = order.len();
    Part {
        label: format!("model {count} order {number}"),
        labels: LabelMap::Other { classes: count, order },
        address: address::CLASS_COUNTS + (number * (classes + 1) + count) as u64,
        arm: false,
    }
}

/// The networks of `classifier` for data of `classes` classes, in the order that its aggregate takes them.
///
/// # Errors
/// In words, what `classifier` lacks or cannot be trained.
pub(super) fn parts(classifier: &ClassifierSpec, classes: usize) -> Result<Vec<Part>, String> {
    let aggregation = match classifier.kind {
        ClassifierKind::Single => {
            // A wider network is another one.
            let address = if classifier.width_factor.is_some() { address::WIDER } else { 0 };
            return Ok(vec![Part { label: String::new(), labels: LabelMap::Identity, address, arm: false }]);
        }
        ClassifierKind::Aggregate(aggregation) => aggregation,
    };
    if aggregation != Aggregation::Ensemble && classifier.members.is_some() {
        return Err(format!("members belongs to an ensemble, not to {aggregation}"));
    }
    let classes = classes as u32;
    match aggregation {
        Aggregation::OneVsAll | Aggregation::MergeBinary => Ok((0..classes)
            .map(|class| Part {
                label: format!("arm {class}"),
                labels: LabelMap::OneVsAll { class },
                address: u64::from(class) + 1,
                arm: true,
            })
            .collect()),
        Aggregation::OneVsOne => Ok((0..classes)
            .flat_map(|a| (a + 1..classes).map(move |b| (a, b)))
            .map(|(a, b)| Part {
                label: format!("pair {a}-{b}"),
                // The aggregate takes log-odds for b over a, and label 1 is the map's first class.
                labels: LabelMap::OneVsOne { a: b, b: a },
                address: address::PAIRS + u64::from(a * classes + b),
                arm: false,
            })
            .collect()),
        Aggregation::Hierarchical(split) => {
            let (groups, first) = match split {
                SplitName::AnimalsObjects => (Groups::AnimalsObjects, address::STAGES),
                SplitName::First5Last5 => (Groups::First5Last5, address::STAGES + 100),
            };
            let coarse = Part {
                label: format!("{split} coarse"),
                labels: LabelMap::Coarse { groups },
                address: first,
                arm: false,
            };
            let fine = (0..groups.members().len()).map(|group| Part {
                label: format!("{split} fine {group}"),
                labels: LabelMap::Fine { groups, group },
                address: first + 1 + group as u64,
                arm: false,
            });
            Ok(std::iter::once(coarse).chain(fine).collect())
        }
        Aggregation::Ensemble => match classifier.members {
            Some(members) if members >= 2 => Ok((0..members as u64)
                .map(|member| Part {
                    label: format!("member {member}"),
                    labels: LabelMap::Identity,
                    // The first one is the network that stands alone elsewhere.
                    address: if member == 0 { 0 } else { address::MEMBERS + member },
                    arm: false,
                })
                .collect()),
            other => Err(format!("an ensemble needs members of 2 or more, not {other:?}")),
        },
        Aggregation::SharedTrunk => Err("training of a shared trunk is not built".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn classifier(kind: &str, members: Option<usize>) -> ClassifierSpec {
        ClassifierSpec {
            name: kind.to_owned(),
            kind: kind.parse().unwrap(),
            strategies: vec!["softmax".parse().unwrap()],
            members,
            width_factor: None,
            rows: None,
        }
    }

    #[test]
    fn every_network_has_its_own_address_and_fits_its_aggregate() {
        let mut seen: BTreeSet<u64> = BTreeSet::new();
        let kinds = ["one-vs-all", "one-vs-one", "hierarchical:animals-objects", "hierarchical:first5-last5"];
        for kind in kinds {
            let classifier = classifier(kind, None);
            let parts = parts(&classifier, 10).unwrap();
            let ClassifierKind::Aggregate(aggregation) = classifier.kind else { unreachable!() };
            let outputs: Vec<usize> = parts.iter().map(|part| part.labels.num_classes(10)).collect();
            assert_eq!(Some(outputs), aggregation.outputs(10, 2), "{kind}");
            for part in parts {
                assert!(seen.insert(part.address), "{kind} {}", part.label);
            }
        }
        for part in parts(&classifier("ensemble", Some(5)), 10).unwrap() {
            assert!(seen.insert(part.address), "{}", part.label);
        }
        // The network that stands alone is the ensemble's first.
        assert!(seen.contains(&parts(&classifier("single", None), 10).unwrap()[0].address));
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        for (kind, members) in [("ensemble", None), ("ensemble", Some(1)), ("one-vs-all", Some(3))] {
            assert!(parts(&classifier(kind, members), 10).unwrap_err().contains("ensemble"), "{kind}");
        }
        assert!(parts(&classifier("shared-trunk", None), 10).is_err());
    }
}
