//! Rows as comma-separated values; what is not there is empty.

use super::EpochRow;

/// The first line.
pub(super) fn header() -> String {
    let names = empty().scalars().map(|(name, _)| name).join(",");
    format!("epoch,epochs,{names},time\n")
}

/// One row.
pub(super) fn line(row: &EpochRow) -> String {
    let values = row.scalars().map(|(_, value)| value.map_or_else(String::new, |value| value.to_string()));
    let time = row.time.map_or_else(String::new, |time| time.to_string());
    format!("{},{},{},{time}\n", row.epoch, row.epochs, values.join(","))
}

/// A row for its names.
fn empty() -> EpochRow {
    EpochRow {
        epoch: 0,
        epochs: 0,
        learning_rate: 0.0,
        perturbed: 0,
        loss: 0.0,
        accuracy: 0.0,
        clean_accuracy: None,
        robust_accuracy: None,
        seconds: None,
        images_per_second: None,
        time: None,
    }
}
