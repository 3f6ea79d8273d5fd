//! What a training looks like from outside, one row an epoch: JSON lines, CSV, and TensorBoard's event files.
//!
//! `NAME.jsonl` is the log; `NAME.csv` and `NAME/events.out.tfevents.robin` say the same in other words. What an epoch
//! came to is known to the training, its checkpoints and its record, so all three are written anew from these: when a
//! training is continued, so that epochs which a killed run had logged but not yet saved do not appear twice, and
//! whenever a row could not be added. Only how long an epoch took is known to the log alone, and nothing where its row
//! was lost. `tensorboard --logdir` takes the folder, and calls each network by its name.

mod csv;
mod tensorboard;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use robin_data::temporary_file;
use robin_training::EpochReport;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One epoch. Shares are in `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Number of epochs.
    pub epochs: usize,
    /// Of the epoch's last step.
    pub learning_rate: f64,
    /// Perturbed examples in each batch.
    pub perturbed: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Share of the epoch's training examples, clean and perturbed as they were, that were classified
    /// correctly.
    pub accuracy: f64,
    /// On the held-out images, clean; none if none are held out.
    pub clean_accuracy: Option<f64>,
    /// On the held-out images, attacked.
    pub robust_accuracy: Option<f64>,
    /// Wall-clock time of the epoch, with its validation; of the part after an interruption only. None if the row was
    /// lost and made again.
    pub seconds: Option<f64>,
    /// Training images per second in that time.
    pub images_per_second: Option<f64>,
    /// When it ended, in seconds since 1970.
    pub time: Option<f64>,
}

impl EpochRow {
    /// The row of an epoch, without its times.
    pub fn new(report: &EpochReport) -> Self {
        Self {
            epoch: report.epoch,
            epochs: report.epochs,
            learning_rate: report.learning_rate,
            perturbed: report.perturbed,
            loss: report.loss,
            accuracy: report.accuracy,
            clean_accuracy: report.validation.map(|validation| validation.clean_accuracy),
            robust_accuracy: report.validation.map(|validation| validation.robust_accuracy),
            seconds: None,
            images_per_second: None,
            time: None,
        }
    }

    /// Name and value of every number that is plotted over epochs; `None` where there is none.
    fn scalars(&self) -> [(&'static str, Option<f64>); 8] {
        [
            ("learning_rate", Some(self.learning_rate)),
            ("perturbed", Some(self.perturbed as f64)),
            ("loss", Some(self.loss)),
            ("accuracy", Some(self.accuracy)),
            ("clean_accuracy", self.clean_accuracy),
            ("robust_accuracy", self.robust_accuracy),
            ("seconds", self.seconds),
            ("images_per_second", self.images_per_second),
        ]
    }
}

/// The open logs of one training.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
    name: String,
    rows: Vec<EpochRow>,
    /// The three files, open at their ends; none after one of them could not be written.
    files: Option<Vec<File>>,
}

impl Logs {
    /// The logs called `name` in `folder`, in which the folder `name` is there, of the epochs that the training knows of.
    /// Times are those of the rows that are there; rows of other epochs are dropped.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn open(folder: &Path, name: &str, epochs: &[EpochReport]) -> Result<Self> {
        let mut logs = Self::read(folder, name, epochs)?;
        logs.write()?;
        Ok(logs)
    }

    /// Makes the logs of a finished training whole; writes nothing if they are.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn mend(folder: &Path, name: &str, epochs: &[EpochReport]) -> Result<()> {
        Self::read(folder, name, epochs)?.complete()
    }

    fn read(folder: &Path, name: &str, epochs: &[EpochReport]) -> Result<Self> {
        let mut logs =
            Self { folder: folder.to_owned(), name: name.to_owned(), rows: Vec::new(), files: None };
        let there = logs.there()?;
        logs.rows = epochs
            .iter()
            .map(|report| {
                let made = EpochRow::new(report);
                let untimed =
                    |row: &EpochRow| EpochRow { seconds: None, images_per_second: None, time: None, ..*row };
                there.iter().rev().find(|row| untimed(row) == made).copied().unwrap_or(made)
            })
            .collect();
        Ok(logs)
    }

    /// Adds an epoch. After an error its row is kept, and written with the next, or by [`Logs::complete`].
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn append(&mut self, row: &EpochRow) -> Result<()> {
        self.rows.push(*row);
        // Until they are whole again there are no files to add to.
        let Some(mut files) = self.files.take() else { return self.write() };
        let time = self.clock(self.rows.len());
        let added = [line(row)?.into_bytes(), csv::line(row).into_bytes(), tensorboard::events(row, time)];
        for ((file, bytes), path) in files.iter_mut().zip(added).zip(self.paths()) {
            file.write_all(&bytes).map_err(Error::io(&path, "add to the log"))?;
        }
        self.files = Some(files);
        Ok(())
    }

    /// Writes whatever is not there as it should be.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn complete(&mut self) -> Result<()> {
        let contents = self.contents()?;
        let whole = |(path, bytes): (&PathBuf, &Vec<u8>)| fs::read(path).is_ok_and(|found| found == *bytes);
        if self.paths().iter().zip(&contents).all(whole) { Ok(()) } else { self.write() }
    }

    /// Writes all three anew, each whole or not at all: what was logged must outlive a kill at any moment.
    fn write(&mut self) -> Result<()> {
        self.files = None;
        let contents = self.contents()?;
        let written = self.paths().into_iter().zip(contents).map(|(path, bytes)| {
            temporary_file::write(&path, &bytes).map_err(Error::io(&path, "write the log"))
        });
        self.files = Some(written.collect::<Result<_>>()?);
        Ok(())
    }

    /// What the three files hold.
    fn contents(&self) -> Result<[Vec<u8>; 3]> {
        let mut lines = String::new();
        // When the first row comes, the header is there already, and the same ever after.
        let (mut table, mut events) = (csv::header(), tensorboard::header(0.0));
        for (at, row) in self.rows.iter().enumerate() {
            lines.push_str(&line(row)?);
            table.push_str(&csv::line(row));
            events.extend(tensorboard::events(row, self.clock(at + 1)));
        }
        Ok([lines.into_bytes(), table.into_bytes(), events])
    }

    /// When the first `rows` rows were over, as far as anybody knows: 0 if nothing is known.
    fn clock(&self, rows: usize) -> f64 {
        self.rows[..rows.min(self.rows.len())].iter().rev().find_map(|row| row.time).unwrap_or(0.0)
    }

    /// The rows that are there; what is none is skipped.
    fn there(&self) -> Result<Vec<EpochRow>> {
        let [path, ..] = self.paths();
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes
                .split(|byte| *byte == b'\n')
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io(&path, "read the log")(error)),
        }
    }

    /// Lines, table and events.
    fn paths(&self) -> [PathBuf; 3] {
        paths(&self.folder, &self.name)
    }
}

/// Where the three logs called `name` are in `folder`.
pub(crate) fn paths(folder: &Path, name: &str) -> [PathBuf; 3] {
    [
        folder.join(format!("{name}.jsonl")),
        folder.join(format!("{name}.csv")),
        folder.join(name).join("events.out.tfevents.robin"),
    ]
}

fn line(row: &EpochRow) -> Result<String> {
    let text =
        serde_json::to_string(row).map_err(|source| Error::Json { what: "a row of the log", source })?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests;
