use std::sync::Barrier;

use serde_json::json;

use super::*;
use crate::record::Record;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    store.clone().open_shared(0).unwrap();
    (folder, store)
}

fn record() -> Record {
    let settings = json!({ "kind": "network" });
    Record {
        kind: Kind::Network,
        key: Key::of(&settings),
        settings,
        results: json!({ "accuracy": 0.5 }),
        provenance: serde_json::from_value(json!({ "seconds": 1.5 })).unwrap(),
    }
}

fn take(claims: &Claims, key: &Key) -> Option<Claim> {
    claims.take(Kind::Network, key, "a cell").unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn the_last_start_is_right_and_the_first_finds_out() {
    let (_folder, store) = store();
    let key = record().key;
    let (one, two) = (Claims::new(store.clone(), "n1").unwrap(), Claims::new(store, "n2, job 7_3").unwrap());
    let first = take(&one, &key).unwrap();
    one.check(&first).unwrap();
    assert!(one.all_hold());
    let second = take(&two, &key).unwrap();
    assert_eq!((first.number(), second.number()), (1, 2));
    assert!(two.all_hold() && !one.all_hold());
    let error = one.finish(&first).unwrap_err();
    assert!(error.to_string().contains("n2, job 7_3"), "{error}");
    assert!(matches!(one.into_lost(), Some(Error::Overtaken { .. })));
    two.finish(&second).unwrap();
    assert!(two.into_lost().is_none());
}

#[test]
fn of_many_that_start_at_once_each_has_a_number_of_its_own() {
    let (_folder, store) = store();
    let key = record().key;
    let gate = Barrier::new(8);
    let mut numbers: Vec<u32> = std::thread::scope(|scope| {
        let start = || {
            gate.wait();
            take(&Claims::new(store.clone(), "a node").unwrap(), &key).unwrap().number()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

#[test]
fn a_checkpoint_goes_to_the_next_start_and_a_stale_one_writes_beside_it() {
    let (_folder, store) = store();
    let key = record().key;
    let claims = Claims::new(store.clone(), "a node").unwrap();
    // Of an interrupted run on one machine.
    fs::write(store.checkpoint_path(&key), "alone").unwrap();
    let first = claims.checkpoint(&take(&claims, &key).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(&first).unwrap(), "alone");
    fs::write(&first, "first").unwrap();
    fs::write(first.with_extension("previous.ckpt"), "before").unwrap();
    let second = claims.checkpoint(&take(&claims, &key).unwrap()).unwrap();
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(&second).unwrap(), "first");
    assert_eq!(fs::read_to_string(second.with_extension("previous.ckpt")).unwrap(), "before");
    fs::write(&first, "stale").unwrap();
    assert_eq!(fs::read_to_string(&second).unwrap(), "first");
    // The third has left nothing yet, so the fourth takes the second's.
    take(&claims, &key).unwrap();
    let fourth = claims.checkpoint(&take(&claims, &key).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(fourth).unwrap(), "first");
}

#[test]
fn nothing_but_the_record_is_left_of_a_finished_cell() {
    let (_folder, store) = store();
    let record = record();
    let writer = store.clone().open_shared(0).unwrap();
    let claims = Claims::new(store.clone(), "a node").unwrap();
    let stale = take(&claims, &record.key).unwrap();
    let checkpoint = claims.checkpoint(&stale).unwrap();
    fs::write(&checkpoint, "first").unwrap();
    claims.note_failure(&record.key, "a reason").unwrap();
    let last = take(&claims, &record.key).unwrap();
    claims.checkpoint(&last).unwrap();
    claims.finish(&last).unwrap();
    writer.save(&record, None).unwrap();
    claims.release(&last).unwrap();
    assert_eq!(names(&store.folder().join(CLAIMS)), Vec::<String>::new());
    assert_eq!(names(&store.folder().join(FAILURES)), Vec::<String>::new());
    let file = format!("{}.json", record.key);
    assert_eq!(names(&store.folder().join("networks")), [file.as_str()]);
    // Whoever comes now finds the record; so does who was there before, and what it still writes is swept.
    assert!(take(&claims, &record.key).is_none());
    assert!(matches!(claims.check(&stale), Err(Error::Overtaken { .. })));
    fs::write(&checkpoint, "late").unwrap();
    sweep(&store).unwrap();
    assert_eq!(names(&store.folder().join("networks")), [file.as_str()]);
}

#[test]
fn a_reason_is_kept_until_the_next_start() {
    let (_folder, store) = store();
    let key = record().key;
    let claims = Claims::new(store.clone(), "n1").unwrap();
    take(&claims, &key).unwrap();
    claims.note_failure(&key, "training failed").unwrap();
    let path = store.folder().join(FAILURES).join(key.as_str());
    assert_eq!(fs::read_to_string(&path).unwrap(), "training failed (n1)\n");
    // A cell that failed is nobody's, so a later start takes nothing away.
    let later = Claims::new(store, "n2").unwrap();
    take(&later, &key).unwrap();
    assert!(!path.exists() && claims.all_hold());
}

#[test]
fn a_vanished_folder_is_said_to_have_vanished() {
    let (folder, store) = store();
    let claims = Claims::new(store, "n1").unwrap();
    let claim = take(&claims, &record().key).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    let error = claims.check(&claim).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }) && error.to_string().contains("retry"), "{error}");
}

#[test]
fn two_that_finish_at_once_leave_one_whole_record() {
    let (_folder, store) = store();
    let writer = store.clone().open_shared(0).unwrap();
    let (one, mut two) = (record(), record());
    two.provenance.insert("seconds".to_owned(), json!(9.0));
    writer.save(&one, None).unwrap();
    writer.save(&two, None).unwrap();
    assert_eq!(store.load(one.kind, &one.key).unwrap(), Some(one));
    // Another result is never taken for the same.
    two.results = json!({ "accuracy": 0.6 });
    assert!(matches!(writer.save(&two, None), Err(Error::Damaged { .. })));
}
