use approx::assert_abs_diff_eq;
use std::collections::BTreeMap;

use robin_evaluation::{Clean, Outcome as Verdicts, Robust, wilson};
use serde_json::{Value, json};

use super::*;
use crate::plan::{Place, Request};
use crate::record::Record;
use crate::{Outcome, Spec};

const N: usize = 1000;

fn request(seeds: Vec<u64>) -> Request {
    Request {
        profile: Profile::Smoke,
        rows: Some("mnist/cnn2/linf".to_owned()),
        beyond: false,
        seeds: Some(seeds),
        reading: None,
        attack_images: Default::default(),
        device: "cpu".parse().unwrap(),
        data_dir: None,
    }
}

fn plan(seeds: Vec<u64>) -> Plan {
    Plan::new(&[Spec::named("table-1").unwrap()], &request(seeds)).unwrap()
}

/// Misclassified: 20 examples when clean; under attack, as many more as `misclassified` says, beginning at `from`.
fn results(attacked: Option<(usize, usize)>) -> Value {
    let clean =
        Clean { misclassified: (0..N).map(|example| example < 20).collect(), predictions: vec![0; N] };
    let robust = attacked.map(|(from, count)| {
        let misclassified =
            (0..N).map(|at| clean.misclassified[at] || (from..from + count).contains(&at)).collect();
        let worst = Verdicts { misclassified, predictions: vec![0; N], sizes: vec![0.0; N] };
        Robust { last: worst.clone(), worst, cost: Default::default() }
    });
    json!({ "clean_examples": clean, "robust_examples": robust })
}

/// An outcome in which `attacked(place)` says what each evaluation under attack broke.
fn outcome(plan: &Plan, attacked: impl Fn(&Place) -> (usize, usize)) -> Outcome {
    let records = plan
        .cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| {
            let place = plan.items[0].places.iter().find(|(_, at)| *at == index).map(|(place, _)| place)?;
            let results = results(place.test.map(|_| attacked(place)));
            let provenance = serde_json::from_value(json!({ "seconds": 0.5 })).unwrap();
            let (kind, key, settings) = (cell.kind(), cell.key.clone(), cell.settings());
            Some((index, Record { kind, key, settings, results, provenance }))
        })
        .collect::<BTreeMap<_, _>>();
    Outcome { records, failures: Vec::new(), cancelled: false, computed: 0 }
}

fn table(plan: &Plan, outcome: &Outcome) -> Table {
    Table::new(plan, &plan.items[0], outcome, &Environment::detect(None)).unwrap()
}

/// Softmax breaks 100 examples, best-arm 60 others, top2 some of softmax's.
fn by_strategy(place: &Place) -> (usize, usize) {
    match place.strategy.unwrap().to_string().as_str() {
        "softmax" => (100, 100),
        "best-arm" => (500, 60),
        _ => (100, 40),
    }
}

#[test]
fn the_json_has_the_published_shape() {
    let plan = plan(vec![0]);
    let json = serde_json::to_value(table(&plan, &outcome(&plan, by_strategy))).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&json), ["item", "profile", "cells", "comparisons", "run"]);
    assert_eq!((&json["item"], &json["profile"]), (&json!("table-1"), &json!("smoke")));
    let cells = json["cells"].as_array().unwrap();
    // One row, two classifiers, four columns that linf has, and their union.
    assert_eq!(cells.len(), 10);
    for cell in cells {
        assert_eq!(
            names(cell),
            [
                "dataset",
                "model",
                "norm",
                "epsilon",
                "classifier",
                "attack",
                "strategy",
                "strategies",
                "accuracy",
                "union",
                "n",
                "low",
                "high",
                "published",
                "row",
                "records",
                "ran"
            ]
        );
        assert_eq!(names(&cell["ran"]), ["model", "width", "train_images", "test_images", "epochs", "seeds"]);
        assert_eq!((&cell["dataset"], &cell["model"]), (&json!("mnist"), &json!("cnn2")));
        assert_eq!((&cell["norm"], &cell["epsilon"]), (&json!("linf"), &json!("25/255")));
        assert_eq!((&cell["n"], &cell["ran"]["model"]), (&json!(1000), &json!("cnn2-small")));
    }
    let places: Vec<_> = cells.iter().map(|c| (c["classifier"].as_str(), c["attack"].as_str())).collect();
    for classifier in ["multiclass", "robin"] {
        for attack in ["clean", "pgd10", "pgd20"] {
            assert!(places.contains(&(Some(classifier), Some(attack))), "{places:?}");
        }
    }
}

#[test]
fn robin_is_its_strongest_strategy_and_the_union_stands_beside_it() {
    let plan = plan(vec![0]);
    let table = table(&plan, &outcome(&plan, by_strategy));
    let find = |classifier: &str, attack: &str| {
        table.cells.iter().find(|cell| cell.classifier == classifier && cell.attack == attack).unwrap()
    };
    let robin = find("robin", "pgd10");
    assert_eq!(robin.strategy.as_deref(), Some("softmax"));
    assert_eq!(robin.accuracy, 0.88); // 20 wrong clean, 100 misclassified
    assert_eq!(robin.union, 0.82); // and best-arm's 60
    assert_eq!(
        robin.strategies,
        [("best-arm", 0.92), ("softmax", 0.88), ("top2", 0.94)].map(|(n, a)| (n.to_owned(), a)).into()
    );
    let interval = wilson(880, 1000);
    assert_eq!((robin.low, robin.high), (interval.low, interval.high));
    assert_eq!(robin.published, Some(0.959));

    let clean = find("robin", "clean");
    assert_eq!((clean.accuracy, clean.union, &clean.strategy), (0.98, 0.98, &None));
    assert!(clean.strategies.is_empty());
    let multiclass = find("multiclass", "pgd20");
    assert_eq!((multiclass.accuracy, multiclass.union), (0.88, 0.88));
    assert_eq!(multiclass.strategy.as_deref(), Some("softmax"));
    assert_eq!(multiclass.published, Some(0.957));
}

#[test]
fn several_seeds_give_the_strategy_that_is_strongest_on_average() {
    let plan = plan(vec![0, 1]);
    // Top2 is the strongest with seed 1, softmax over both.
    let table = table(
        &plan,
        &outcome(&plan, |place| match (place.strategy.unwrap().to_string().as_str(), place.seed) {
            ("softmax", 0) => (100, 200),
            ("softmax", _) => (100, 100),
            ("top2", 1) => (100, 120),
            _ => (100, 50),
        }),
    );
    let robin = table.cells.iter().find(|c| c.classifier == "robin" && c.attack == "pgd10").unwrap();
    assert_eq!(robin.strategy.as_deref(), Some("softmax"));
    let by_seed: Vec<_> = robin.ran.seeds.iter().map(|seed| (seed.seed, seed.accuracy, seed.union)).collect();
    assert_eq!(by_seed, [(0, 0.78, 0.78), (1, 0.88, 0.86)]);
    assert!((robin.accuracy - 0.83).abs() < 1e-12 && (robin.union - 0.82).abs() < 1e-12);
    // Two values d apart have the standard deviation d / sqrt(2).
    assert_abs_diff_eq!(robin.spread().unwrap(), 0.1 / 2.0_f64.sqrt(), epsilon = 1e-12);
    assert_eq!(table.run.seeds, [0, 1]);
}

#[test]
fn a_missing_result_leaves_its_number_out() {
    let plan = plan(vec![0]);
    let mut outcome = outcome(&plan, by_strategy);
    let lost =
        plan.cells.iter().position(|cell| cell.label.contains("robin pgd10") && cell.label.contains("top2"));
    outcome.records.remove(&lost.unwrap());
    let table = table(&plan, &outcome);
    // The number and the union that it belongs to.
    assert_eq!((table.cells.len(), table.run.missing), (8, 2));
    let gone =
        |cell: &TableCell| cell.classifier == "robin" && ["pgd10", "union"].contains(&cell.attack.as_str());
    assert!(!table.cells.iter().any(gone));
}

#[test]
fn a_union_judges_each_image_by_the_attacks_that_were_made_on_it() {
    let plan = plan(vec![0]);
    let mut outcome = outcome(&plan, by_strategy);
    let robin = |outcome: &Outcome, attack: &str| {
        let cells = table(&plan, outcome).cells;
        cells.into_iter().find(|cell| cell.classifier == "robin" && cell.attack == attack).unwrap()
    };
    let union = robin(&outcome, "union");
    // Softmax's and best-arm's examples, the same under every attack; three strategies of two attacks, one of cw.
    assert_eq!((union.accuracy, union.union, union.n, union.records.len()), (0.82, 0.82, 1000, 7));
    assert_eq!((&union.strategy, union.published), (&None, None));

    // CW on the first 50 images, which it breaks from the 30th on.
    let misclassified: Vec<bool> = (0..50).map(|at| !(20..30).contains(&at)).collect();
    let worst =
        Verdicts { misclassified: misclassified.clone(), predictions: vec![0; 50], sizes: vec![0.0; 50] };
    let robust = Robust { last: worst.clone(), worst, cost: Default::default() };
    let clean = Clean { misclassified, predictions: vec![0; 50] };
    for (index, record) in &mut outcome.records {
        if plan.cells[*index].label.contains(" cw ") {
            record.results = json!({ "clean_examples": clean, "robust_examples": robust });
        }
    }
    // Of the 820 that withstand the others CW breaks 20 more.
    let union = robin(&outcome, "union");
    assert_eq!((union.accuracy, union.n), (0.80, 1000));
    assert_eq!(robin(&outcome, "cw").n, 50);
}

#[test]
fn a_weak_or_blind_attack_is_said() {
    let plan = plan(vec![0]);
    let notes = |outcome: &Outcome| table(&plan, outcome).run.notes.join("\n");
    let mut outcome = outcome(&plan, |place| match place.strategy.unwrap().to_string().as_str() {
        "softmax" => (100, 100),
        _ => (100, 90),
    });
    assert!(!notes(&outcome).contains("CW is weaker") && !notes(&outcome).contains("exactly zero"));
    let change = |outcome: &mut Outcome, part: &str, results: Value| {
        for (index, record) in &mut outcome.records {
            if plan.cells[*index].label.contains(part) {
                record.results = results.clone();
            }
        }
    };
    // 16 images fewer than PGD-20 breaks, of 1,000.
    change(&mut outcome, "robin cw ", results(Some((100, 84))));
    let said = notes(&outcome);
    assert!(
        said.contains("mnist/cnn2/linf robin cw, 1000 images: CW leaves 0.8960 and PGD-20 only 0.8800"),
        "{said}"
    );
    assert!(!said.contains("multiclass cw"), "{said}");
    // 16 more.
    change(&mut outcome, "robin cw ", results(Some((100, 116))));
    let said = notes(&outcome);
    assert!(
        said.contains("robin cw, 1000 images: PGD-20 leaves 0.8800 and CW only 0.8640 of the same examples"),
        "{said}"
    );
    let mut blind = results(Some((100, 100)));
    blind["robust_examples"]["cost"]["gradients"] = json!(1000);
    blind["robust_examples"]["cost"]["zero_gradients"] = json!(20);
    change(&mut outcome, "robin pgd10 seed 0 top2", blind);
    let said = notes(&outcome);
    assert!(
        said.contains("robin pgd10 top2, seed 0: 2.0% of the input gradients are exactly zero"),
        "{said}"
    );
}

#[test]
fn a_union_needs_of_what_is_beyond_the_paper_only_what_its_line_has() {
    let request = Request { beyond: true, ..request(vec![0]) };
    let plan = Plan::new(&[Spec::named("table-1").unwrap()], &request).unwrap();
    let mut outcome = outcome(&plan, by_strategy);
    outcome.records.retain(|&index, _| !plan.cells[index].label.contains("robin autoattack"));
    let table = table(&plan, &outcome);
    let records = |classifier: &str| {
        let of = |cell: &&TableCell| cell.classifier == classifier && cell.attack == "union";
        table.cells.iter().find(of).unwrap().records.len()
    };
    assert_eq!((records("multiclass"), records("robin")), (4, 7), "with AutoAttack, and without");
    assert_eq!(table.run.missing, 1, "AutoAttack itself");
}

#[test]
fn what_is_beyond_the_paper_is_shown_once_it_has_a_number() {
    let request = Request { beyond: true, ..request(vec![0]) };
    let plan = Plan::new(&[Spec::named("table-1").unwrap()], &request).unwrap();
    let mut outcome = outcome(&plan, by_strategy);
    let classifiers = |table: &Table| {
        let mut names: Vec<String> = table.cells.iter().map(|cell| cell.classifier.clone()).collect();
        names.dedup();
        names
    };
    let whole = table(&plan, &outcome);
    assert_eq!(classifiers(&whole), ["multiclass", "robin", "ensemble-10", "wide", "shared-trunk"]);
    assert_eq!((whole.cells.len(), whole.run.missing), (5 * 6, 0));
    for cell in &whole.cells {
        let papers =
            ["multiclass", "robin"].contains(&cell.classifier.as_str()) && cell.attack != "autoattack";
        assert_eq!(cell.beyond, !papers, "{} {}", cell.classifier, cell.attack);
    }
    assert_eq!(whole.comparisons.len(), 4 * 6, "ROBIN against each other classifier");

    outcome.records.retain(|&index, _| {
        let label = &plan.cells[index].label;
        !["ensemble-10", "wide", "shared-trunk", "autoattack"].iter().any(|name| label.contains(name))
    });
    let papers = table(&plan, &outcome);
    assert_eq!(
        (classifiers(&papers), papers.run.missing),
        (vec!["multiclass".to_owned(), "robin".to_owned()], 0)
    );
    assert!(papers.cells.iter().any(|cell| cell.attack == "union"), "it does without AutoAttack");
    let says_what_they_are =
        |table: &Table| table.run.notes.iter().any(|note| note.contains("Beyond the paper"));
    assert!(says_what_they_are(&whole) && !says_what_they_are(&papers));
    let says = |table: &Table| table.run.shrunk.iter().any(|line| line.contains("autoattack"));
    assert!(says(&whole) && !says(&papers));
}
