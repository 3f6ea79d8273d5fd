//! The committed evidence: every record whole, every number of a table backed by a record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use robin_experiments::key::Key;
use robin_experiments::record::{Kind, Record};
use robin_experiments::store::Store;
use serde_json::Value;

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

/// The tables of a folder by file name; figures have no cells.
fn tables(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let json = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    json.filter_map(|path| {
        let table: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        Some((path.display().to_string(), table["cells"].as_array()?.clone()))
    })
    .collect()
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

#[test]
fn tables_say_what_their_records_say() {
    assert!(!folders().is_empty());
    for folder in folders() {
        let networks = records(&folder, Kind::Network);
        let known: Vec<&str> = networks.iter().map(|record| record.key.as_str()).collect();
        let evaluations = records(&folder, Kind::Evaluation);
        let mut accuracies = BTreeMap::new();
        for record in &evaluations {
            for network in record.settings["classifier"]["networks"].as_array().unwrap() {
                assert!(known.contains(&network.as_str().unwrap()), "network {network} has a record");
            }
            let part = if record.settings["attacked"].is_null() { "clean" } else { "worst" };
            accuracies.insert(record.key.as_str(), record.results[part]["accuracy"].as_f64().unwrap());
        }
        // The first tables did not name their records, which are found by their labels.
        let labelled = |cell: &Value| -> Vec<&str> {
            let text = |field: &str| cell[field].as_str().unwrap();
            let row = format!("{}/{}/{}", text("dataset"), text("model"), text("norm"));
            let label = format!("{row} {} {} seed 0", text("classifier"), text("attack"));
            let of = |record: &&Record| record.provenance["label"].as_str().unwrap().starts_with(&label);
            evaluations.iter().filter(of).map(|record| record.key.as_str()).collect()
        };
        let (mut shown, tables) = (BTreeSet::new(), tables(&folder));
        assert!(!tables.is_empty(), "{}", folder.display());
        for (table, cells) in &tables {
            for cell in cells {
                let keys: Vec<&str> = match cell["records"].as_array() {
                    Some(keys) => keys.iter().map(|key| key.as_str().unwrap()).collect(),
                    None => labelled(cell),
                };
                let mut found: Vec<f64> = keys.iter().map(|key| accuracies[key]).collect();
                found.sort_by(f64::total_cmp);
                assert_eq!(found, said(cell), "{table}: {cell}");
                assert_eq!(
                    cell["accuracy"].as_f64().unwrap(),
                    found[0],
                    "the lowest of them: {table}: {cell}"
                );
                shown.extend(keys);
            }
        }
        let all: BTreeSet<&str> = accuracies.keys().copied().collect();
        assert!(shown.iter().all(|key| all.contains(key)));
        assert_eq!(shown.len(), all.len(), "every evaluation stands in a table of {}", folder.display());
    }
}
