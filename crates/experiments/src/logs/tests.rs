use std::fs::OpenOptions;

use robin_training::ValidationReport;

use super::*;

fn report(epoch: usize, clean: Option<f64>) -> EpochReport {
    EpochReport {
        epoch,
        epochs: 3,
        learning_rate: 0.1,
        perturbed: 64,
        loss: 1.0 / epoch as f64,
        accuracy: 0.5,
        validation: clean.map(|clean| ValidationReport {
            clean_accuracy: clean,
            robust_accuracy: clean / 2.0,
            training_accuracy: None,
        }),
    }
}

fn row(epoch: usize, clean: Option<f64>) -> EpochRow {
    EpochRow {
        seconds: Some(2.0),
        images_per_second: Some(1000.0),
        time: Some(1_700_000_000.5 + epoch as f64),
        ..EpochRow::new(&report(epoch, clean))
    }
}

/// A place for logs.
struct Place(tempfile::TempDir);

impl Place {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| fs::create_dir(folder.path().join(name)).unwrap());
        Self(folder)
    }

    fn open(&self, name: &str, epochs: &[EpochReport]) -> Logs {
        Logs::open(self.0.path(), name, epochs).unwrap()
    }

    fn bytes(&self, name: &str) -> [Vec<u8>; 3] {
        paths(self.0.path(), name).map(|path| fs::read(path).unwrap())
    }

    fn rows(&self, name: &str) -> Vec<EpochRow> {
        let lines = String::from_utf8(self.bytes(name)[0].clone()).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn every_epoch_is_a_row_in_each_log() {
    let place = Place::new(&["arm-0"]);
    let mut logs = place.open("arm-0", &[]);
    logs.append(&row(1, Some(0.5))).unwrap();
    logs.append(&row(2, None)).unwrap();
    assert_eq!(place.rows("arm-0"), [row(1, Some(0.5)), row(2, None)]);
    let [_, table, events] = place.bytes("arm-0");
    let table = String::from_utf8(table).unwrap();
    let table: Vec<&str> = table.lines().collect();
    assert_eq!(
        table,
        [
            "epoch,epochs,learning_rate,perturbed,loss,accuracy,clean_accuracy,robust_accuracy,seconds,\
             images_per_second,time",
            "1,3,0.1,64,1,0.5,0.5,0.25,2,1000,1700000001.5",
            "2,3,0.1,64,0.5,0.5,,,2,1000,1700000002.5",
        ]
    );
    // One header, eight scalars, then six: a record is its content and 16 bytes around it.
    let (mut at, mut records) = (0, 0);
    while at < events.len() {
        at += 16 + u64::from_le_bytes(events[at..at + 8].try_into().unwrap()) as usize;
        records += 1;
    }
    assert_eq!((at, records), (events.len(), 1 + 8 + 6));
}

#[test]
fn a_continued_training_says_each_epoch_once() {
    let place = Place::new(&["straight", "stopped"]);
    let (mut straight, mut stopped) = (place.open("straight", &[]), place.open("stopped", &[]));
    for epoch in 1..=3 {
        straight.append(&row(epoch, None)).unwrap();
        stopped.append(&row(epoch, None)).unwrap();
    }
    // Killed in the middle of a row; the last checkpoint is from the second epoch.
    let [lines, ..] = paths(place.0.path(), "stopped");
    OpenOptions::new().append(true).open(lines).unwrap().write_all(b"{\"epoch\":4,").unwrap();
    let mut stopped = place.open("stopped", &[report(1, None)]);
    for epoch in 2..=3 {
        stopped.append(&row(epoch, None)).unwrap();
    }
    assert_eq!(place.bytes("stopped"), place.bytes("straight"));
}

#[test]
fn rows_that_were_lost_are_made_again_and_only_their_times_are_not() {
    let place = Place::new(&["arm"]);
    let mut logs = place.open("arm", &[]);
    for epoch in 1..=3 {
        logs.append(&row(epoch, Some(0.5))).unwrap();
    }
    drop(logs);
    // The second row was cut off where the disk was full, and the third came behind it.
    let [lines, table, events] = paths(place.0.path(), "arm");
    let text = fs::read_to_string(&lines).unwrap();
    let rows: Vec<&str> = text.lines().collect();
    fs::write(&lines, format!("{}\n{}{}\n", rows[0], &rows[1][..20], rows[2])).unwrap();
    fs::remove_file(&table).unwrap();
    fs::write(&events, b"half").unwrap();
    let epochs: Vec<EpochReport> = (1..=3).map(|epoch| report(epoch, Some(0.5))).collect();
    Logs::mend(place.0.path(), "arm", &epochs).unwrap();
    let made = |epoch| EpochRow::new(&report(epoch, Some(0.5)));
    assert_eq!(place.rows("arm"), [row(1, Some(0.5)), made(2), made(3)]);
    let table = fs::read_to_string(table).unwrap();
    assert!(
        table.ends_with("\n2,3,0.1,64,0.5,0.5,0.5,0.25,,,\n3,3,0.1,64,0.3333333333333333,0.5,0.5,0.25,,,\n"),
        "{table}"
    );
    // Whole logs are left alone, also in a folder that nobody may write into.
    let before = fs::metadata(&lines).unwrap().modified().unwrap();
    Logs::mend(place.0.path(), "arm", &epochs).unwrap();
    assert_eq!(fs::metadata(&lines).unwrap().modified().unwrap(), before);
    // A row whose numbers are not the training's is another's.
    let mut other = epochs.clone();
    other[0].loss = 7.0;
    Logs::mend(place.0.path(), "arm", &other).unwrap();
    assert_eq!(place.rows("arm")[0], EpochRow::new(&other[0]));
}

#[test]
fn a_row_that_could_not_be_added_comes_with_the_next_or_at_the_end() {
    for end in [false, true] {
        let place = Place::new(&["arm", "whole"]);
        let (mut logs, mut whole) = (place.open("arm", &[]), place.open("whole", &[]));
        logs.append(&row(1, None)).unwrap();
        // Files that cannot be added to, and a folder in the way of new ones.
        logs.files = logs
            .files
            .take()
            .map(|_| paths(place.0.path(), "arm").map(|path| File::open(path).unwrap()).into());
        let text = logs.append(&row(2, None)).unwrap_err().to_string();
        assert!(text.contains("arm.jsonl: cannot add to the log"), "{text}");
        let [_, table, _] = paths(place.0.path(), "arm");
        fs::remove_file(&table).unwrap();
        fs::create_dir(&table).unwrap();
        let text = logs.append(&row(3, None)).unwrap_err().to_string();
        assert!(text.contains("arm.csv: cannot write the log"), "{text}");
        fs::remove_dir(&table).unwrap();
        for epoch in 1..=3 {
            whole.append(&row(epoch, None)).unwrap();
        }
        if end {
            logs.complete().unwrap();
        } else {
            logs.append(&row(4, None)).unwrap();
            whole.append(&row(4, None)).unwrap();
        }
        assert_eq!(place.bytes("arm"), place.bytes("whole"));
    }
}

#[cfg(unix)]
#[test]
fn rows_go_into_files_of_their_own_and_through_no_link() {
    let place = Place::new(&["arm"]);
    let outside = tempfile::NamedTempFile::new().unwrap();
    for path in paths(place.0.path(), "arm") {
        std::os::unix::fs::symlink(outside.path(), path).unwrap();
    }
    place.open("arm", &[]).append(&row(1, None)).unwrap();
    assert_eq!((fs::read(outside.path()).unwrap(), place.rows("arm")), (Vec::new(), vec![row(1, None)]));
}
