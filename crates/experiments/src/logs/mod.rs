//! What a training looks like from outside, one row an epoch: JSON lines, CSV, and TensorBoard's event files.
//!
//! `NAME.jsonl` is the log; `NAME.csv` and `NAME/events.out.tfevents.robin` say the same in other words and
//! are written anew from it when a training is continued, so that epochs which a killed run had logged but
//! not yet saved do not appear twice. `tensorboard --logdir` takes the folder, and calls each network by its
//! name.

mod csv;
mod tensorboard;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::store::write_atomically;
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
    /// Wall-clock time of the epoch, with its validation; of the part after an interruption only.
    pub seconds: f64,
    /// Training images per second in that time.
    pub images_per_second: f64,
    /// When it ended, in seconds since 1970.
    pub time: f64,
}

impl EpochRow {
    /// Name and value of every number that is plotted over epochs; `None` where there is none.
    fn scalars(&self) -> [(&'static str, Option<f64>); 8] {
        [
            ("learning_rate", Some(self.learning_rate)),
            ("perturbed", Some(self.perturbed as f64)),
            ("loss", Some(self.loss)),
            ("accuracy", Some(self.accuracy)),
            ("clean_accuracy", self.clean_accuracy),
            ("robust_accuracy", self.robust_accuracy),
            ("seconds", Some(self.seconds)),
            ("images_per_second", Some(self.images_per_second)),
        ]
    }
}

/// The open logs of one training.
#[derive(Debug)]
pub struct Logs {
    folder: PathBuf,
    name: String,
}

impl Logs {
    /// The logs called `name` in `folder`, which is made if need be. Keeps rows up to `epoch`, the last one
    /// that the training knows of (0: it begins), and drops those that are beyond it or cut short.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn open(folder: &Path, name: &str, epoch: usize) -> Result<Self> {
        let events = folder.join(name);
        fs::create_dir_all(&events).map_err(Error::io(&events, "create the folder of logs"))?;
        let logs = Self { folder: folder.to_owned(), name: name.to_owned() };
        let rows: Vec<EpochRow> = logs.rows()?.into_iter().filter(|row| row.epoch <= epoch).collect();
        let mut lines = String::new();
        let (mut table, mut events) =
            (csv::header(), tensorboard::header(rows.first().map_or(0.0, |row| row.time)));
        for row in &rows {
            lines.push_str(&line(row)?);
            table.push_str(&csv::line(row));
            events.extend(tensorboard::events(row));
        }
        for (path, bytes) in
            [(logs.lines(), lines.as_bytes()), (logs.table(), table.as_bytes()), (logs.events(), &events)]
        {
            // Whole or not at all: what was logged must outlive a kill at any moment.
            write_atomically(&path, bytes)?;
        }
        Ok(logs)
    }

    /// Adds an epoch.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn append(&self, row: &EpochRow) -> Result<()> {
        let append = |path: PathBuf, bytes: &[u8]| {
            let file: std::io::Result<File> = OpenOptions::new().append(true).open(&path);
            file.and_then(|mut file| file.write_all(bytes)).map_err(Error::io(&path, "add to the log"))
        };
        append(self.lines(), line(row)?.as_bytes())?;
        append(self.table(), csv::line(row).as_bytes())?;
        append(self.events(), &tensorboard::events(row))
    }

    /// The rows that are there, up to the first that is none.
    fn rows(&self) -> Result<Vec<EpochRow>> {
        let path = self.lines();
        match fs::read(&path) {
            Ok(bytes) => Ok(bytes
                .split(|byte| *byte == b'\n')
                .map_while(|line| serde_json::from_slice(line).ok())
                .collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io(&path, "read the log")(error)),
        }
    }

    fn lines(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.name))
    }

    fn table(&self) -> PathBuf {
        self.folder.join(format!("{}.csv", self.name))
    }

    fn events(&self) -> PathBuf {
        self.folder.join(&self.name).join("events.out.tfevents.robin")
    }
}

fn line(row: &EpochRow) -> Result<String> {
    let text =
        serde_json::to_string(row).map_err(|source| Error::Json { what: "a row of the log", source })?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests;
