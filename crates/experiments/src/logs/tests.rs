use super::*;

fn row(epoch: usize, clean: Option<f64>) -> EpochRow {
    EpochRow {
        epoch,
        epochs: 3,
        learning_rate: 0.1,
        perturbed: 64,
        loss: 1.0 / epoch as f64,
        accuracy: 0.5,
        clean_accuracy: clean,
        robust_accuracy: clean.map(|clean| clean / 2.0),
        seconds: 2.0,
        images_per_second: 1000.0,
        time: 1_700_000_000.5 + epoch as f64,
    }
}

fn read(logs: &Logs) -> (String, String, Vec<u8>) {
    let text = |path: PathBuf| fs::read_to_string(path).unwrap();
    (text(logs.lines()), text(logs.table()), fs::read(logs.events()).unwrap())
}

#[test]
fn every_epoch_is_a_row_in_each_log() {
    let folder = tempfile::tempdir().unwrap();
    let logs = Logs::open(folder.path(), "arm-0", 0).unwrap();
    logs.append(&row(1, Some(0.5))).unwrap();
    logs.append(&row(2, None)).unwrap();
    let (lines, table, events) = read(&logs);
    let rows: Vec<EpochRow> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows, [row(1, Some(0.5)), row(2, None)]);
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
    let folder = tempfile::tempdir().unwrap();
    let straight = Logs::open(folder.path(), "straight", 0).unwrap();
    let stopped = Logs::open(folder.path(), "stopped", 0).unwrap();
    for epoch in 1..=3 {
        straight.append(&row(epoch, None)).unwrap();
        stopped.append(&row(epoch, None)).unwrap();
    }
    // Killed in the middle of a row; the last checkpoint is from the second epoch.
    OpenOptions::new().append(true).open(stopped.lines()).unwrap().write_all(b"{\"epoch\":4,").unwrap();
    let stopped = Logs::open(folder.path(), "stopped", 1).unwrap();
    for epoch in 2..=3 {
        stopped.append(&row(epoch, None)).unwrap();
    }
    let ((lines, table, _), (expected_lines, expected_table, _)) = (read(&stopped), read(&straight));
    assert_eq!((lines, table), (expected_lines, expected_table));
}
