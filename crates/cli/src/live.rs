//! What a run tells of itself while it goes on, for `report --watch` in another terminal: one file, written anew at the end of
//! every epoch and gone when the run is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use robin_experiments::logs::EpochRow;
use robin_experiments::record::Record;
use robin_experiments::{Error, Observer, Profile, Progress, Watched, out};
use robin_report::LiveNetwork;

/// The file of a profile's run below `folder`.
fn path(folder: &Path, profile: Profile) -> PathBuf {
    folder.join(format!("running-{profile}.json"))
}

/// Networks in training below `folder`; none where nobody trains.
pub fn running(folder: &Path, profile: Profile) -> Vec<LiveNetwork> {
    let text = fs::read(path(folder, profile)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Tells `inner` everything, and writes down what the networks in training come to.
pub struct LiveReport<'a> {
    inner: &'a dyn Observer,
    path: PathBuf,
    running: Mutex<BTreeMap<usize, LiveNetwork>>,
}

impl<'a> LiveReport<'a> {
    /// Of a profile's run below `folder`.
    pub fn new(inner: &'a dyn Observer, folder: &Path, profile: Profile) -> Self {
        Self { inner, path: path(folder, profile), running: Mutex::default() }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<usize, LiveNetwork>)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut running);
        let networks: Vec<&LiveNetwork> = running.values().collect();
        // A page that lags costs no result.
        if let Ok(text) = serde_json::to_vec(&networks) {
            let _ = out::write(&self.path, &text);
        }
    }

    fn end(&self, cell: &Watched<'_>) {
        let known = self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&cell.index);
        if known {
            self.change(|running| drop(running.remove(&cell.index)));
        }
    }
}

impl Drop for LiveReport<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Observer for LiveReport<'_> {
    fn inner(&self) -> Option<&dyn Observer> {
        Some(self.inner)
    }

    fn progress(&self, cell: &Watched<'_>, progress: &Progress) {
        self.inner.progress(cell, progress);
        let Progress::Epoch { row: EpochRow { epoch, epochs, loss, accuracy, .. }, .. } = *progress else {
            return;
        };
        self.change(|running| {
            let network = running.entry(cell.index).or_insert_with(|| LiveNetwork {
                label: cell.label.to_owned(),
                epochs,
                losses: Vec::new(),
                accuracy: None,
                robust: None,
            });
            // Of a training that is continued the epochs before are not told.
            network.losses.truncate(epoch.saturating_sub(1));
            network.losses.push(loss);
            network.accuracy = Some(accuracy);
        });
    }

    fn finished(&self, cell: &Watched<'_>, record: &Record, seconds: f64) {
        self.end(cell);
        self.inner.finished(cell, record, seconds);
    }

    fn failed(&self, cell: &Watched<'_>, error: &Error) {
        self.end(cell);
        self.inner.failed(cell, error);
    }
}

#[cfg(test)]
mod tests {
    use robin_experiments::record::Kind;

    use super::*;

    #[test]
    fn networks_in_training_are_told_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let told = LiveReport::new(&(), folder.path(), Profile::Smoke);
        let cell = Watched { index: 3, kind: Kind::Network, label: "an arm" };
        let report = robin_training::EpochReport {
            epoch: 1,
            epochs: 5,
            learning_rate: 0.1,
            perturbed: 0,
            loss: 2.0,
            accuracy: 0.25,
            validation: None,
        };
        assert!(running(folder.path(), Profile::Smoke).is_empty());
        for (epoch, loss) in [(1, 2.0), (2, 1.5)] {
            let row = EpochRow { epoch, loss, ..EpochRow::new(&report) };
            told.progress(&cell, &Progress::Epoch { row, last: None });
        }
        let found = running(folder.path(), Profile::Smoke);
        let [network] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (network.label.as_str(), network.epochs, network.losses.as_slice()),
            ("an arm", 5, &[2.0, 1.5][..])
        );
        told.failed(&cell, &Error::Cancelled);
        assert!(running(folder.path(), Profile::Smoke).is_empty());
        drop(told);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
