//! The committed evidence: every record whole, every number of a table backed by a record.

use approx::assert_abs_diff_eq;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use robin_evaluation::Robust;
use robin_experiments::claims::{Compared, Quantity};
use robin_experiments::figure::{Figure, Shape};
use robin_experiments::key::Key;
use robin_experiments::record::{Kind, Record};
use robin_experiments::store::Store;
use robin_experiments::{ClaimVerdict, Verdict};
use serde_json::{Value, json};

/// The folders below `evidence`.
fn folders() -> Vec<PathBuf> {
    let evidence = Path::new(env!("CARGO_MANIFEST_DIR")).join("evidence");
    let entries = fs::read_dir(evidence).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// All records of one kind; a file that is no whole record fails the test.
fn records(folder: &Path, kind: Kind) -> Vec<Record> {
    let read = |entry: fs::DirEntry| {
        let stem = entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
        let key: Key = serde_json::from_value(stem.into()).unwrap();
        let record = Store::new(folder).load(kind, &key).unwrap().expect("the file is there");
        assert_eq!(Key::of(&record.settings), key, "settings of {}", entry.path().display());
        record
    };
    fs::read_dir(folder.join(kind.folder())).unwrap().map(|entry| read(entry.unwrap())).collect()
}

/// The tables and figures of a folder by file name.
fn items(folder: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.map(|path| {
        let item = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        (path.display().to_string(), item)
    })
    .collect()
}

/// What one record says of a figure's point.
fn drawn(figure: &str, results: &Value) -> f64 {
    let value = match &results["one_class"] {
        Value::Null if results["robust_examples"].is_null() => &results["clean"]["accuracy"],
        Value::Null => &results["worst"]["accuracy"],
        one_class if figure.ends_with("-balanced") => &one_class["balanced"],
        one_class => &one_class["all"],
    };
    value.as_f64().unwrap()
}

/// What a table's cell says of accuracies: of each strategy, or the only one there is.
fn said(cell: &Value) -> Vec<f64> {
    let strategies = cell["strategies"].as_object().unwrap();
    let mut accuracies: Vec<f64> = strategies.values().map(|accuracy| accuracy.as_f64().unwrap()).collect();
    if accuracies.is_empty() {
        accuracies.push(cell["accuracy"].as_f64().unwrap());
    }
    accuracies.sort_by(f64::total_cmp);
    accuracies
}

/// For each attack the mean over its seeds, in rising order.
fn means(of_seeds: &[(&str, f64)]) -> Vec<f64> {
    let mut attacks: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (label, accuracy) in of_seeds {
        let (before, seed) = label.split_once(" seed ").expect("a label names its seed");
        let attack = seed.split_once(' ').map_or("", |(_, attack)| attack);
        attacks.entry(format!("{before} {attack}")).or_default().push(*accuracy);
    }
    let mut means: Vec<f64> =
        attacks.values().map(|seeds| seeds.iter().sum::<f64>() / seeds.len() as f64).collect();
    means.sort_by(f64::total_cmp);
    means
}

/// The share of images that withstand every one of `records` that has them, and how many images there are.
fn union(records: &[&Record]) -> (f64, usize) {
    let misclassified = |record: &&Record| {
        let robust: Robust = serde_json::from_value(record.results["robust_examples"].clone()).unwrap();
        robust.worst.misclassified
    };
    let misclassified: Vec<Vec<bool>> = records.iter().map(misclassified).collect();
    let n = misclassified.iter().map(Vec::len).max().unwrap();
    let correct = (0..n)
        .filter(|&image| misclassified.iter().all(|misclassified| misclassified.get(image) != Some(&true)))
        .count();
    (correct as f64 / n as f64, n)
}

#[test]
fn tables_say_what_their_records_say() {
    assert!(!folders().is_empty());
    for folder in folders() {
        let networks = records(&folder, Kind::Network);
        let known: Vec<&str> = networks.iter().map(|record| record.key.as_str()).collect();
        let evaluations = records(&folder, Kind::Evaluation);
        let (mut accuracies, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for record in &evaluations {
            let networks = record.settings.get("classifier").unwrap_or(&record.settings);
            for network in networks["networks"].as_array().unwrap() {
                assert!(known.contains(&network.as_str().unwrap()), "network {network} has a record");
            }
            let part = if record.settings["attacked"].is_null() { "clean" } else { "worst" };
            labels.insert(record.key.as_str(), record.provenance["label"].as_str().unwrap());
            accuracies.insert(record.key.as_str(), record.results[part]["accuracy"].as_f64());
        }
        // The first tables did not name their records, which are found by their labels.
        let labelled = |cell: &Value| -> Vec<&str> {
            let text = |field: &str| cell[field].as_str().unwrap();
            let row = format!("{}/{}/{}", text("dataset"), text("model"), text("norm"));
            let label = format!("{row} {} {} seed 0", text("classifier"), text("attack"));
            let of = |record: &&Record| record.provenance["label"].as_str().unwrap().starts_with(&label);
            evaluations.iter().filter(of).map(|record| record.key.as_str()).collect()
        };
        let (mut shown, items) = (BTreeSet::new(), items(&folder));
        assert!(!items.is_empty(), "{}", folder.display());
        for (table, item) in &items {
            for cell in item["cells"].as_array().into_iter().flatten() {
                let keys: Vec<&str> = match cell["records"].as_array() {
                    Some(keys) => keys.iter().map(|key| key.as_str().unwrap()).collect(),
                    None => labelled(cell),
                };
                if cell["attack"] == "union" {
                    let of = |record: &&Record| keys.contains(&record.key.as_str());
                    let (accuracy, n) = union(&evaluations.iter().filter(of).collect::<Vec<_>>());
                    assert_eq!((json!(accuracy), json!(n)), (cell["accuracy"].clone(), cell["n"].clone()));
                    shown.extend(keys);
                    continue;
                }
                let of_seeds: Vec<(&str, f64)> =
                    keys.iter().map(|key| (labels[key], accuracies[key].unwrap())).collect();
                let (found, said) = (means(&of_seeds), said(cell));
                assert_eq!(found.len(), said.len(), "{table}: {cell}");
                for (found, said) in found.iter().zip(&said) {
                    assert_abs_diff_eq!(found, said, epsilon = 1e-12);
                }
                let lowest = cell["accuracy"].as_f64().unwrap();
                assert_abs_diff_eq!(lowest, found[0], epsilon = 1e-12);
                shown.extend(keys);
            }
        }
        let figures: Vec<Figure> = items
            .values()
            .filter(|item| item["panels"].is_array())
            .map(|item| serde_json::from_value(item.clone()).unwrap())
            .collect();
        for figure in &figures {
            check_figure(figure, &evaluations);
            shown.extend(figure.records());
        }
        let all: BTreeSet<&str> = accuracies.keys().copied().collect();
        assert!(shown.iter().all(|key| all.contains(key)));
        assert_eq!(
            shown.len(),
            all.len(),
            "every evaluation stands in a table or figure of {}",
            folder.display()
        );
    }
}

/// Every number of a figure is that of its records.
fn check_figure(figure: &Figure, evaluations: &[Record]) {
    let results = |key: &String| {
        let record = evaluations.iter().find(|record| record.key.as_str() == key);
        &record.unwrap_or_else(|| panic!("{}: record {key}", figure.id)).results
    };
    for panel in &figure.panels {
        match &panel.shape {
            Shape::Lines(lines) => {
                let measured = lines.iter().flat_map(|line| &line.points).filter(|p| !p.records.is_empty());
                for point in measured {
                    let values: Vec<f64> =
                        point.records.iter().map(|key| drawn(&figure.id, results(key))).collect();
                    // Of class orders the mean, of strategies the lowest.
                    let one_class = point.records.iter().any(|key| results(key)["one_class"].is_object());
                    let expected = match one_class {
                        true => values.iter().sum::<f64>() / values.len() as f64,
                        false => values.iter().copied().fold(f64::INFINITY, f64::min),
                    };
                    assert_abs_diff_eq!(point.y, expected, epsilon = 1e-12);
                }
            }
            Shape::Histogram(sets) => {
                for bins in sets {
                    let [record] = &bins.records[..] else { panic!("{}: one seed", figure.id) };
                    let histogram = &results(record)["trained"]["histogram"];
                    assert_eq!(serde_json::json!(bins.counts), histogram["counts"], "{}", bins.name);
                    assert_eq!(serde_json::json!(bins.edges), histogram["edges"], "{}", bins.name);
                }
            }
            Shape::Regions(_) => panic!("{}: no such figure is kept as evidence", figure.id),
        }
    }
}

/// The claims of a folder's report.
fn claims(folder: &Path) -> Vec<ClaimVerdict> {
    let path = folder.join("report/claims.json");
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

/// What `scripts/check-claims.py` does on whole claims, here without Python: numbers are those of the records that they name.
#[test]
fn claims_say_what_their_records_say() {
    let mut compared = 0;
    for folder in folders() {
        let all: BTreeMap<String, Record> = [Kind::Evaluation, Kind::Network]
            .into_iter()
            .flat_map(|kind| records(&folder, kind))
            .map(|record| (record.key.as_str().to_owned(), record))
            .collect();
        let claims = claims(&folder);
        assert!(claims.len() >= 35, "{}", folder.display());
        assert!(claims.is_sorted_by_key(|claim| claim.verdict), "reversals first");
        for claim in &claims {
            assert!(claim.records.iter().all(|key| all.contains_key(key)), "{}", claim.id);
            for one in claim.comparisons.iter().filter(|one| one.estimate.is_some()) {
                compared += 1;
                check_difference(one, &all);
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

/// A difference of accuracies is the one that the tables have.
fn check_difference(one: &Compared, all: &BTreeMap<String, Record>) {
    let estimate = one.estimate.unwrap();
    let mean = |terms: &[robin_experiments::claims::ComparedTerm]| -> f64 {
        terms.iter().map(|term| term.sign * term.mean()).sum()
    };
    // An image without a gradient on one side is left out on both, so that means over each side's own images differ.
    if one.terms().all(|term| !matches!(term.quantity, Quantity::Coherence | Quantity::Distance)) {
        let difference = mean(&one.left) - mean(&one.right) - one.bound;
        assert_abs_diff_eq!(estimate.effect, difference, epsilon = 1e-9);
    }
    assert!(estimate.low < estimate.effect && estimate.effect < estimate.high);
    for term in one.terms().filter(|term| term.quantity == Quantity::Withstands) {
        for seed in &term.seeds {
            let [key] = &seed.records[..] else { continue };
            let results = &all[key].results;
            let part = if results["robust_examples"].is_null() { "clean" } else { "worst" };
            if results[part]["n"] == json!(estimate.images) {
                let accuracy = results[part]["accuracy"].as_f64().unwrap();
                assert_abs_diff_eq!(accuracy, seed.value, epsilon = 1e-12);
            }
        }
    }
}

/// Attacks on the same images and networks are paired: what independent samples leave open is told apart.
#[test]
fn transfer_is_weaker_wherever_it_was_compared() {
    let quick = folders().into_iter().find(|folder| folder.ends_with("quick")).unwrap();
    let claim =
        claims(&quick).into_iter().find(|claim| claim.id == "transfer-weaker-than-white-box").unwrap();
    assert_eq!(claim.comparisons.len(), 16);
    for one in &claim.comparisons {
        assert!(one.estimate.unwrap().low > 0.0, "{}", one.place);
        assert!(one.mcnemar.unwrap().p < 1e-7, "{}: {:?}", one.place, one.mcnemar);
        // Whose own classifier or surrogate is near chance decides nothing.
        assert!(matches!(one.verdict, Verdict::Held | Verdict::NotTestable));
    }
}
