use std::collections::BTreeMap;

use robin_core::Norm;
use robin_data::DatasetName;

use crate::figure::{Axis, Bins, Figure, Panel, Shape};
use crate::item::Value;
use crate::plan::Ran;
use crate::spec::Layout;
use crate::table::{RanCell, Run, SeedResult, Table};
use crate::{Profile, TableCell};

use super::*;

fn histogram(name: &str, mean: f64) -> Bins {
    Bins {
        name: name.to_owned(),
        edges: vec![mean - 0.1, mean + 0.1],
        counts: vec![400],
        mean: Some(mean),
        published_mean: None,
        apart: Vec::new(),
        records: vec![format!("record of {name}")],
    }
}

fn item(means: &[(&str, f64)], share: f64, error: f64) -> Item {
    let panel = Panel {
        title: "mnist/cnn2/l2".to_owned(),
        x: Axis::new("coherence"),
        y: Axis::new("density"),
        right: None,
        shape: Shape::Histogram(means.iter().map(|(name, mean)| histogram(name, *mean)).collect()),
    };
    Item {
        name: "an-item".to_owned(),
        title: String::new(),
        table: None,
        figures: vec![Figure {
            id: "a-figure".to_owned(),
            title: String::new(),
            caption: None,
            panels: vec![panel],
            notes: Vec::new(),
            comparable: false,
        }],
        values: vec![Value {
            name: "share".to_owned(),
            row: "a row".to_owned(),
            value: share,
            error,
            seeds: 1,
            records: Vec::new(),
        }],
        notes: Vec::new(),
    }
}

fn verdict(compare: &str, seeds: usize, item: Item) -> ClaimVerdict {
    let text =
        format!("[[claims]]\nid = \"a-claim\"\ntext = \"It is so.\"\nseeds = {seeds}\ncompare = [{compare}]");
    judge_with(&text, &[item]).unwrap().remove(0)
}

const BELOW: &str = "{ left = { item = \"an-item\", mean = \"robin\" }, test = { below = 0.0 }, right = { item = \"an-item\", mean = \"ensemble\" } }";

#[test]
fn numbers_of_one_place_are_compared_beyond_their_noise() {
    for (robin, expected) in [(0.2, Verdict::Held), (0.8, Verdict::NotHeld)] {
        let found = verdict(BELOW, 1, item(&[("robin", robin), ("ensemble of 5", 0.5)], 0.9, 0.0));
        assert_eq!(found.verdict, expected, "{:?}", found.numbers);
        assert_eq!(found.records, ["record of ensemble of 5", "record of robin"]);
    }
    let noisy = "{ left = { item = \"an-item\", value = \"share\" }, test = { above = 0.0 }, right = 0.95 }";
    for (share, expected) in [(0.99, Verdict::Held), (0.96, Verdict::Undecided), (0.90, Verdict::NotHeld)] {
        assert_eq!(verdict(noisy, 1, item(&[], share, 0.02)).verdict, expected, "{share}");
    }
}

#[test]
fn too_few_seeds_decide_nothing_and_a_missing_number_cannot_be_tested() {
    let few = verdict(BELOW, 3, item(&[("robin", 0.2), ("ensemble", 0.5)], 0.9, 0.0));
    assert_eq!(few.verdict, Verdict::Undecided);
    assert!(few.numbers[0].contains("1 of 3 seeds"), "{:?}", few.numbers);
    let none = verdict(BELOW, 1, item(&[("robin", 0.2)], 0.9, 0.0));
    assert_eq!((none.verdict, none.numbers), (Verdict::NotTestable, vec!["no such number".to_owned()]));
}

#[test]
fn a_comparison_that_cannot_be_made_leaves_the_claim_undecided() {
    let two = format!("{BELOW}, {}", BELOW.replace("ensemble", "another"));
    let found = verdict(&two, 1, item(&[("robin", 0.2), ("ensemble", 0.5)], 0.9, 0.0));
    assert_eq!(found.verdict, Verdict::Undecided, "{:?}", found.numbers);
    assert!(found.numbers.last().is_some_and(|last| last == "no such number"), "{:?}", found.numbers);
    let found = verdict(&two, 1, item(&[("robin", 0.8), ("ensemble", 0.5)], 0.9, 0.0));
    assert_eq!(found.verdict, Verdict::NotHeld, "one that fails is enough");
}

/// A table in which of 1,000 images so many withstand: by classifier and test budget, a number for each seed.
fn table(numbers: &[(&str, &str, [f64; 3])]) -> Table {
    let cell = |&(classifier, epsilon, by_seed): &(&str, &str, [f64; 3])| {
        let mean = by_seed.iter().sum::<f64>() / 3.0;
        let seeds = (0..).zip(by_seed).map(|(seed, union)| SeedResult { seed, accuracy: union, union });
        TableCell {
            dataset: DatasetName::Mnist,
            model: "cnn2".to_owned(),
            norm: Norm::L2,
            epsilon: epsilon.parse().unwrap(),
            classifier: classifier.to_owned(),
            attack: "pgd10".to_owned(),
            strategy: None,
            strategies: BTreeMap::new(),
            accuracy: mean,
            union: mean,
            n: 1_000,
            low: mean,
            high: mean,
            published: None,
            published_strategies: BTreeMap::new(),
            row: "a row".to_owned(),
            train_epsilon: Some("1.0".parse().unwrap()),
            printed_epsilon: None,
            stand_in: None,
            beyond: false,
            records: vec![format!("{classifier} at {epsilon}")],
            ran: RanCell {
                ran: Ran {
                    model: "cnn2".to_owned(),
                    width: 8,
                    train_images: 1,
                    test_images: 1_000,
                    epochs: 1,
                },
                seeds: seeds.collect(),
            },
        }
    };
    Table {
        item: "an-item".to_owned(),
        profile: Profile::Quick,
        layout: Layout::Gap,
        cells: numbers.iter().map(cell).collect(),
        comparisons: Vec::new(),
        overlaps: Vec::new(),
        run: Run {
            title: String::new(),
            comparable: false,
            shrunk: Vec::new(),
            seeds: vec![0, 1, 2],
            device: String::new(),
            machine: String::new(),
            seconds: 0.0,
            missing: 0,
            notes: Vec::new(),
        },
    }
}

#[test]
fn the_growth_of_a_lead_is_judged_seed_by_seed() {
    const GROWS: &str = "{ left = { item = \"an-item\", growth = [\"robin\", \"multiclass\"], attack = \"pgd10\" }, test = { above = 0.0 }, right = 0.0 }";
    let of = |multiclass: [f64; 3], beyond: [f64; 3]| {
        let numbers = [
            ("robin", "1.0", [0.5, 0.51, 0.49]),
            ("multiclass", "1.0", multiclass),
            ("robin", "2.0", beyond),
            ("multiclass", "2.0", [0.1; 3]),
            // At the largest budget nothing is left of any lead.
            ("robin", "3.0", [0.0; 3]),
            ("multiclass", "3.0", [0.0; 3]),
        ];
        verdict(GROWS, 3, Item { table: Some(table(&numbers)), ..item(&[], 0.0, 0.0) })
    };
    // At 1.0 the lead is 0.05 for every seed, at 2.0 it is 0.3.
    let usual = [0.45, 0.46, 0.44];
    let grown = of(usual, [0.4; 3]);
    assert_eq!(grown.verdict, Verdict::Held, "{:?}", grown.numbers);
    assert!(grown.numbers[0].starts_with("a row: 0.250 against 0.000"), "{:?}", grown.numbers);
    assert_eq!(grown.records.len(), 4);
    assert_eq!(of(usual, [0.06; 3]).verdict, Verdict::NotHeld);
    assert_eq!(of(usual, [0.17; 3]).verdict, Verdict::Undecided);
    // The same means; growth that differs from seed to seed, and leads that differ while all grow alike.
    assert_eq!(of(usual, [0.1, 0.7, 0.4]).verdict, Verdict::Undecided);
    assert_eq!(of([0.25, 0.66, 0.44], [0.6, 0.2, 0.4]).verdict, Verdict::Held);
}

#[test]
fn a_margin_is_said_in_words() {
    let words =
        [Test::Above(-0.005), Test::Above(0.02), Test::Below(0.005), Test::Below(-0.05)].map(Test::words);
    assert_eq!(
        words,
        ["at most 0.005 below", "above by more than 0.02", "at most 0.005 above", "below by more than 0.05"]
    );
}

#[test]
fn every_claim_has_a_verdict_without_any_number() {
    let found = judge(&[]).unwrap();
    assert!(found.len() >= 15);
    assert!(found.iter().all(|claim| claim.verdict == Verdict::NotTestable));
    let ids: BTreeSet<&str> = found.iter().map(|claim| claim.id.as_str()).collect();
    assert_eq!(ids.len(), found.len());
}

#[test]
fn every_claim_is_about_items_that_there_are() {
    let value: toml::Value = toml::from_str(CLAIMS).unwrap();
    let mut asked = 0;
    for claim in value["claims"].as_array().unwrap() {
        for comparison in claim["compare"].as_array().unwrap() {
            for side in ["left", "right"] {
                let select = &comparison[side];
                if select.as_float().is_some() {
                    continue;
                }
                let name = select["item"].as_str().unwrap();
                let spec = crate::Spec::named(name).unwrap();
                asked += 1;
                let growing = select.get("growth").and_then(|growth| growth.as_array()).into_iter().flatten();
                for classifier in select.get("classifier").into_iter().chain(growing) {
                    let classifier = classifier.as_str().unwrap();
                    assert!(
                        spec.classifiers.iter().any(|known| known.name == classifier),
                        "{name}: {classifier}"
                    );
                    let attack = select["attack"].as_str().unwrap();
                    assert!(spec.columns.iter().any(|known| known.name == attack), "{name}: {attack}");
                }
            }
        }
    }
    assert!(asked > 40);
}
