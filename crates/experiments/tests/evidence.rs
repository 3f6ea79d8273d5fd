//! The committed evidence: every record whole, every number of a table backed by a record.

use std::collections::BTreeMap;
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

#[test]
fn tables_say_what_their_records_say() {
    assert!(!folders().is_empty());
    for folder in folders() {
        let networks = records(&folder, Kind::Network);
        let known: Vec<&str> = networks.iter().map(|record| record.key.as_str()).collect();
        let mut accuracies = BTreeMap::new();
        for record in records(&folder, Kind::Evaluation) {
            for network in record.settings["classifier"]["networks"].as_array().unwrap() {
                assert!(known.contains(&network.as_str().unwrap()), "network {network} has a record");
            }
            let part = if record.settings["attacked"].is_null() { "clean" } else { "worst" };
            let accuracy = record.results[part]["accuracy"].as_f64().unwrap();
            accuracies.insert(record.provenance["label"].as_str().unwrap().to_owned(), accuracy);
        }

        let name = folder.file_name().unwrap().to_str().unwrap();
        let table: Value =
            serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        let mut checked = 0;
        for cell in table["cells"].as_array().unwrap() {
            let text = |field: &str| cell[field].as_str().unwrap();
            let row = format!("{}/{}/{}", text("dataset"), text("model"), text("norm"));
            let label = format!("{row} {} {} seed 0", text("classifier"), text("attack"));
            let strategies = cell["strategies"].as_object().unwrap();
            for (strategy, accuracy) in strategies {
                assert_eq!(accuracies[&format!("{label} {strategy}")], accuracy.as_f64().unwrap());
                checked += 1;
            }
            let lowest = strategies.values().map(|accuracy| accuracy.as_f64().unwrap()).reduce(f64::min);
            let expected = lowest.unwrap_or_else(|| accuracies[&label]);
            assert_eq!(cell["accuracy"].as_f64().unwrap(), expected, "{label}");
            checked += usize::from(strategies.is_empty());
        }
        assert_eq!(checked, accuracies.len(), "every evaluation stands in the table {name}");
    }
}
