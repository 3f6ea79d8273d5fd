use std::fs;

use serde_json::json;

use super::*;
use crate::key::sha256;

fn record(value: u32) -> Record {
    let settings = json!({ "kind": "evaluation", "value": value });
    Record {
        kind: Kind::Evaluation,
        key: Key::of(&settings),
        settings,
        results: json!({ "accuracy": 0.1 + 0.2, "broken": "00ff" }),
        provenance: serde_json::from_value(json!({ "commit": null, "seconds": 1.5 })).unwrap(),
    }
}

fn damage(error: Error) -> (PathBuf, &'static str, String, String) {
    let text = error.to_string();
    let Error::Damaged { path, what, expected, found } = error else { panic!("{text}") };
    assert!(text.contains("delete the file to have it recomputed"), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    (path, what, expected, found)
}

#[test]
fn a_record_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let record = record(1);
    assert_eq!(writer.store().load(record.kind, &record.key).unwrap(), None);
    writer.save(&record, None).unwrap();
    assert_eq!(writer.store().load(record.kind, &record.key).unwrap().as_ref(), Some(&record));
    let text = fs::read_to_string(writer.store().record_path(record.kind, &record.key)).unwrap();
    assert_eq!(text, record.to_text());
    serde_json::from_str::<serde_json::Value>(&text).expect("a record is JSON");
}

#[test]
fn only_provenance_differs_when_a_record_is_made_again() {
    let (one, mut two) = (record(1), record(1));
    two.provenance.insert("seconds".to_owned(), json!(99.0));
    let (one, two) = (one.to_text(), two.to_text());
    assert_ne!(one, two);
    let before = |text: &str| text.split("\"provenance\"").next().unwrap().to_owned();
    assert_eq!(before(&one), before(&two));
}

#[test]
fn every_altered_byte_is_found() {
    let record = record(1);
    let text = record.to_text();
    let path = Path::new("record.json");
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
        let altered = String::from_utf8(bytes).unwrap();
        let error = Record::from_text(&altered, path, record.kind, &record.key).unwrap_err();
        damage(error);
    }
}

#[test]
fn every_truncation_is_found() {
    let record = record(1);
    let text = record.to_text();
    for length in 0..text.len() {
        let cut = Record::from_text(&text[..length], Path::new("r.json"), record.kind, &record.key);
        damage(cut.unwrap_err());
    }
}

#[test]
fn a_record_under_another_name_is_foreign_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let (mine, other) = (record(1), record(2));
    let path = writer.store().record_path(mine.kind, &mine.key);
    fs::write(&path, other.to_text()).unwrap();
    let (at, what, expected, found) = damage(writer.store().load(mine.kind, &mine.key).unwrap_err());
    assert_eq!((at, what), (path.clone(), "key"));
    assert_eq!((expected, found), (mine.key.to_string(), other.key.to_string()));
    // Nor does saving overwrite it.
    damage(writer.save(&mine, None).unwrap_err());
    assert_eq!(fs::read_to_string(path).unwrap(), other.to_text());
}

/// The record's text with another value for `field`, sealed again.
fn resealed(record: &Record, field: &str, value: serde_json::Value) -> String {
    let mut whole: serde_json::Value = serde_json::from_str(&record.to_text()).unwrap();
    whole[field] = value;
    seal(&whole)
}

/// The text of `whole` as a record that somebody else has sealed.
fn seal(whole: &serde_json::Value) -> String {
    let mut whole = whole.clone();
    whole["provenance"]["sha256"] = "".into();
    seal_text(&(serde_json::to_string_pretty(&whole).unwrap() + "\n"))
}

fn seal_text(open: &str) -> String {
    let body = open.strip_suffix("\"\n  }\n}\n").unwrap();
    format!("{body}{}\"\n  }}\n}}\n", sha256(body.as_bytes()))
}

#[test]
fn a_record_sealed_with_other_settings_than_its_key_is_refused() {
    let record = record(1);
    let read = |text: &str| Record::from_text(text, Path::new("r.json"), record.kind, &record.key);
    assert_eq!(read(&resealed(&record, "kind", json!("evaluation"))).unwrap(), record);
    let other = json!({ "kind": "evaluation", "value": 2 });
    let (_, what, expected, found) = damage(read(&resealed(&record, "settings", other.clone())).unwrap_err());
    assert_eq!(what, "key of the settings");
    assert_eq!((expected, found), (record.key.to_string(), Key::of(&other).to_string()));
}

#[test]
fn a_sealed_record_without_results_says_so() {
    let record = record(1);
    let read = |text: &str| Record::from_text(text, Path::new("r.json"), record.kind, &record.key);
    for (results, said) in [(json!({}), "{}"), (json!([]), "[]"), (json!(7), "7"), (json!(null), "nothing")] {
        let (_, what, expected, found) = damage(read(&resealed(&record, "results", results)).unwrap_err());
        assert_eq!((what, expected.as_str(), found.as_str()), ("results", "what was computed", said));
    }
    // One that has some, and not those that are asked for.
    let message = record.result::<Vec<f64>>("distances").unwrap_err().to_string();
    assert!(message.contains("results.distances is not there"), "{message}");
    assert!(message.contains(&format!("delete evaluations/{}.json", record.key)), "{message}");
    let message = record.result::<Vec<f64>>("accuracy").unwrap_err().to_string();
    assert!(message.contains("results.accuracy invalid type"), "{message}");
}

#[test]
fn a_sealed_record_with_a_name_twice_is_refused() {
    let record = record(1);
    let open = seal(&serde_json::from_str(&record.to_text()).unwrap());
    let twice = open.replacen("\"results\": {", "\"results\": {\n    \"accuracy\": 1.0,", 1);
    let at = twice.find("\"sha256\": \"").unwrap() + 11;
    let twice = seal_text(&format!("{}{}", &twice[..at], &twice[at + 64..]));
    let error = Record::from_text(&twice, Path::new("r.json"), record.kind, &record.key).unwrap_err();
    let (_, what, _, found) = damage(error);
    assert!(what == "content" && found.contains("\"accuracy\" stands there twice"), "{what}: {found}");
}

#[test]
fn a_record_of_another_kind_is_foreign() {
    let record = record(1);
    let error = Record::from_text(&record.to_text(), Path::new("r.json"), Kind::Network, &record.key);
    let (_, what, expected, found) = damage(error.unwrap_err());
    assert_eq!((what, expected.as_str(), found.as_str()), ("kind", "network", "evaluation"));
}

#[test]
fn a_leftover_of_a_killed_run_means_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let record = record(1);
    let leftover = folder.path().join("evaluations/.tmp-abc");
    fs::write(&leftover, &record.to_text()[..40]).unwrap();
    assert_eq!(writer.store().load(record.kind, &record.key).unwrap(), None);
    assert!(writer.store().readable(Kind::Evaluation).is_empty());
    writer.save(&record, None).unwrap();
    assert_eq!(writer.store().readable(Kind::Evaluation), [record]);
}

#[test]
fn leftovers_are_swept_and_what_somebody_may_continue_stays() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let whole =
        Record { kind: Kind::Network, results: json!({ "weights_sha256": sha256(b"weights") }), ..record(1) };
    writer.save(&whole, Some(&Weights { chosen: b"weights".to_vec(), last: None })).unwrap();
    drop(writer);
    let networks = folder.path().join("networks");
    let (done, open) = (whole.key.to_string(), record(2).key.to_string());
    let gone = [
        format!("{done}.ckpt"),
        format!("{done}.previous.ckpt"),
        format!("{open}.ckpt.tmp"),
        ".tmp-robin-x.ckpt".to_owned(),
    ];
    let kept = [
        format!("{open}.ckpt"),
        format!("{open}.previous.ckpt"),
        "mine.ckpt".to_owned(),
        format!("{}.ckpt", &done[..63]),
        ".tmp-mine".to_owned(),
    ];
    for name in gone.iter().chain(&kept) {
        fs::write(networks.join(name), "half").unwrap();
    }
    drop(Store::new(folder.path()).open(0).unwrap());
    assert!(gone.iter().all(|name| !networks.join(name).exists()));
    assert!(kept.iter().all(|name| networks.join(name).exists()));
    // A network without its weights is trained again, from where its checkpoint is.
    fs::remove_file(networks.join(format!("{done}.safetensors"))).unwrap();
    fs::write(networks.join(&gone[0]), "half").unwrap();
    drop(Store::new(folder.path()).open(0).unwrap());
    assert!(networks.join(&gone[0]).exists());
}

#[test]
fn what_is_in_the_way_of_a_record_is_found_before_it_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let (store, key) = (writer.store(), record(1).key);
    store.check_targets(Kind::Network, &key).unwrap();
    fs::create_dir(store.last_weights_path(&key)).unwrap();
    let text = store.check_targets(Kind::Network, &key).unwrap_err().to_string();
    assert!(text.contains("last.safetensors: cannot write"), "{text}");
    store.check_targets(Kind::Evaluation, &key).unwrap();
    fs::create_dir(folder.path().join("table-1-smoke.md")).unwrap();
    let text = writer.check_reports(["table-1-smoke".to_owned()].into_iter()).unwrap_err().to_string();
    assert!(text.contains("table-1-smoke.md: cannot write"), "{text}");
}

#[test]
fn nothing_but_whole_files_is_left_after_writing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let record = record(1);
    writer.save(&record, None).unwrap();
    writer.save_report("table.md", "one").unwrap();
    writer.save_report("table.md", "two").unwrap();
    let names = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), [".lock", "evaluations", "networks", "table.md"]);
    assert_eq!(names(&folder.path().join("evaluations")), [format!("{}.json", record.key)]);
    assert_eq!(fs::read_to_string(folder.path().join("table.md")).unwrap(), "two");
}

#[test]
fn weights_are_checked_against_their_record() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Store::new(folder.path()).open(0).unwrap();
    let record = Record { kind: Kind::Network, ..record(1) };
    let weights = Weights { chosen: b"weights".to_vec(), last: Some(b"later".to_vec()) };
    writer.save(&record, Some(&weights)).unwrap();
    let store = writer.store();
    assert_eq!(store.load_weights(&record.key, &sha256(b"weights")).unwrap(), b"weights");
    assert_eq!(fs::read(store.last_weights_path(&record.key)).unwrap(), b"later");
    fs::write(store.weights_path(&record.key), b"weighty").unwrap();
    let (_, what, expected, found) =
        damage(store.load_weights(&record.key, &sha256(b"weights")).unwrap_err());
    assert!(what.contains("SHA-256 of the weights"));
    assert_eq!((expected, found), (sha256(b"weights"), sha256(b"weighty")));
    fs::remove_file(store.weights_path(&record.key)).unwrap();
    let (path, ..) = damage(store.load_weights(&record.key, &sha256(b"weights")).unwrap_err());
    assert_eq!(path, store.record_path(Kind::Network, &record.key));
}

#[test]
fn a_second_run_is_refused_until_the_first_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::new(folder.path()).open(0).unwrap();
    let error = Store::new(folder.path()).open(0).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(error.to_string().contains("another run"), "{error}");
    drop(first);
    Store::new(folder.path()).open(0).unwrap();
}

#[test]
fn too_little_space_names_folder_needed_and_free() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::new(folder.path()).open(u64::MAX).unwrap_err();
    let text = error.to_string();
    let Error::NoSpace { folder: named, needed, free } = error else { panic!("{text}") };
    assert_eq!((named.as_path(), needed), (folder.path(), u64::MAX));
    assert!(text.contains(&u64::MAX.to_string()) && text.contains(&free.to_string()), "{text}");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    let error = Store::new(file.join("results")).open(0).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file"), "{error}");
}
