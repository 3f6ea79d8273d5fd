use std::collections::HashSet;

use robin_core::Seed;

use super::*;
use crate::DatasetName;

/// One of each kind, for ten classes.
fn all() -> Vec<LabelMap> {
    let order = vec![3, 1, 4, 0, 5, 9, 2, 6, 8, 7];
    let mut maps =
        vec![LabelMap::Identity, LabelMap::OneVsAll { class: 4 }, LabelMap::OneVsOne { a: 7, b: 2 }];
    maps.extend((2..=10).map(|classes| LabelMap::Other { classes, order: order.clone() }));
    for &groups in Groups::ALL {
        maps.push(LabelMap::Coarse { groups });
        maps.extend((0..2).map(|group| LabelMap::Fine { groups, group }));
    }
    maps
}

#[test]
fn one_vs_all_says_one_for_its_class_alone() {
    let map = LabelMap::OneVsAll { class: 3 };
    assert_eq!(map.apply_all(&[0, 3, 9, 3]).unwrap(), [0, 1, 0, 1]);
    assert_eq!(LabelMap::Identity.apply_all(&[0, 3, 9]).unwrap(), [0, 3, 9]);
    assert_eq!((map.num_classes(10), LabelMap::Identity.num_classes(10)), (2, 10));
}

#[test]
fn model_j_keeps_the_first_classes_of_its_order_and_joins_the_rest() {
    let order = vec![3, 1, 4, 0, 2];
    let model = |classes| LabelMap::Other { classes, order: order.clone() };
    // In the data set's own numbering: class 3 is the paper's class 1, class 1 its class 2...
    assert_eq!(model(2).apply_all(&[0, 1, 2, 3, 4]).unwrap(), [1, 1, 1, 0, 1]);
    assert_eq!(model(3).apply_all(&[0, 1, 2, 3, 4]).unwrap(), [2, 1, 2, 0, 2]);
    assert_eq!(model(4).apply_all(&[0, 1, 2, 3, 4]).unwrap(), [3, 1, 3, 0, 2]);
    // MODEL[k] is the whole problem, renumbered.
    assert_eq!(model(5).apply_all(&[3, 1, 4, 0, 2]).unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn every_map_hits_each_of_its_labels_and_no_other() {
    for map in all() {
        map.validate(10).unwrap();
        let kept: Vec<u32> = (0..10).filter(|&label: &u32| map.keeps(label)).collect();
        let hit: HashSet<u32> = kept.iter().map(|&label| map.apply(label).unwrap()).collect();
        assert_eq!(hit, (0..map.num_classes(10) as u32).collect(), "{map:?}");
        for label in (0..10u32).filter(|label| !kept.contains(label)) {
            let message = map.apply(label).unwrap_err().to_string();
            assert!(message.contains(&format!("label {label}")), "{message}");
        }
    }
}

#[test]
fn groups_are_those_of_appendix_c() {
    let names = DatasetName::Cifar10.class_names();
    let named = |groups: Groups, group: usize| -> Vec<&str> {
        groups.members()[group].iter().map(|&class| names[class as usize]).collect()
    };
    assert_eq!(named(Groups::AnimalsObjects, 0), ["bird", "cat", "deer", "dog", "frog", "horse"]);
    assert_eq!(named(Groups::AnimalsObjects, 1), ["airplane", "automobile", "ship", "truck"]);
    for &groups in Groups::ALL {
        let mut members = groups.members().concat();
        members.sort_unstable();
        assert_eq!(members, (0..10).collect::<Vec<_>>());
        // The group's network numbers its classes as the group lists them.
        for (group, members) in groups.members().iter().enumerate() {
            let fine = LabelMap::Fine { groups, group };
            for (place, &class) in members.iter().enumerate() {
                assert_eq!(fine.apply(class).unwrap() as usize, place);
                assert_eq!(LabelMap::Coarse { groups }.apply(class).unwrap() as usize, group);
            }
        }
    }
}

#[test]
fn one_vs_one_keeps_its_pair_alone() {
    let map = LabelMap::OneVsOne { a: 7, b: 2 };
    assert_eq!((map.apply(7u32).unwrap(), map.apply(2u32).unwrap()), (1, 0));
    assert!((0..10u32).filter(|&label| map.keeps(label)).eq([2, 7]));
}

#[test]
fn class_orders_are_permutations_of_their_own() {
    let order = |index| class_order(10, Seed::new(5), index);
    let orders: HashSet<Vec<u32>> = (0..20).map(order).collect();
    assert_eq!(orders.len(), 20);
    for order in orders {
        LabelMap::Other { classes: 3, order }.validate(10).unwrap();
    }
    assert_eq!(order(4), order(4));
    assert_ne!(order(4), class_order(10, Seed::new(6), 4));
}

#[test]
fn maps_that_do_not_suit_the_classes_are_refused() {
    let refused = LabelMap::OneVsAll { class: 10 }.validate(10);
    assert!(matches!(refused, Err(Error::Class { class: 10, classes: 10 })));
    let whole: Vec<u32> = (0..10).collect();
    let message = |map: LabelMap, of| map.validate(of).unwrap_err().to_string();
    for classes in [0, 1, 11] {
        let map = LabelMap::Other { classes, order: whole.clone() };
        assert!(message(map, 10).contains(&format!("classes is {classes}, allowed is 2 to 10")));
    }
    for order in [vec![], vec![0; 10], (1..11).collect(), (0..9).collect()] {
        assert!(message(LabelMap::Other { classes: 2, order }, 10).contains("each of 0 to 9 once"));
    }
    for groups in [Groups::AnimalsObjects, Groups::First5Last5] {
        assert!(message(LabelMap::Coarse { groups }, 100).contains("groups of 100 classes; these have 10"));
        assert!(message(LabelMap::Fine { groups, group: 2 }, 10).contains("group is 2, allowed is 0 to 1"));
    }
    assert!(message(LabelMap::OneVsOne { a: 3, b: 3 }, 10).contains("a class other than a = 3"));
    assert!(message(LabelMap::OneVsOne { a: 3, b: 10 }, 10).contains("class 10"));
}

#[test]
fn maps_survive_serde_and_refuse_unknown_fields() {
    for map in all() {
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(serde_json::from_str::<LabelMap>(&text).unwrap(), map);
    }
    // Part of every record's key.
    let text = serde_json::to_string(&LabelMap::OneVsAll { class: 4 }).unwrap();
    assert_eq!(text, r#"{"name":"one-vs-all","class":4}"#);
    assert_eq!(serde_json::to_string(&LabelMap::Identity).unwrap(), r#"{"name":"identity"}"#);
    assert!(serde_json::from_str::<LabelMap>(r#"{"name":"one-vs-all","class":1,"x":2}"#).is_err());
}
