//! The images that a classifier is shown.

use std::path::PathBuf;

use robin_data::{Choice, Dataset, Preparation, Source, Split};
use serde::Serialize;

use crate::{Error, Result};

/// Which images.
#[derive(Debug, Clone)]
pub struct ImagesRequest {
    /// A published data set by name, or the path of the user's own.
    pub dataset: Choice,
    /// Which half of it.
    pub split: Split,
    /// The subset inside the program instead of the full set.
    pub embedded: bool,
    /// Folder of the full sets; `None`: the usual one.
    pub data_dir: Option<PathBuf>,
    /// The first so many; `None`: all.
    pub limit: Option<usize>,
    /// What is done to the user's own images first.
    pub preparation: Preparation,
}

/// What was loaded, for reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Images {
    /// The data set.
    pub dataset: String,
    /// Which half.
    pub split: String,
    /// Number of images.
    pub n: usize,
    /// SHA-256 of exactly these.
    pub sha256: String,
    /// What was done to them first, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
}

impl ImagesRequest {
    /// Loads them.
    ///
    /// # Errors
    /// [`Error::Data`].
    pub fn load(&self) -> Result<(Dataset, Images)> {
        let Self { dataset, split, embedded, data_dir, limit, preparation } = self;
        let failed = |place: String| {
            move |error: robin_data::Error| Error::Data {
                dataset: format!("{dataset}, {split}"),
                place,
                source: Box::new(error),
            }
        };
        let (source, place) = match (embedded, data_dir) {
            // The user's own images are where they are, whatever the source of the others.
            _ if dataset.published().is_none() => (Source::Embedded, "as given".to_owned()),
            (true, _) => (Source::Embedded, "embedded".to_owned()),
            (false, Some(folder)) => (Source::Folder(folder.clone()), folder.display().to_string()),
            (false, None) => {
                let folder = robin_data::default_dir().map_err(failed("data folder".to_owned()))?;
                let place = folder.display().to_string();
                (Source::Folder(folder), place)
            }
        };
        let data = dataset.load_prepared(*split, &source, *limit, preparation).map_err(failed(place))?;
        let images = Images {
            dataset: dataset.to_string(),
            split: split.to_string(),
            n: data.len(),
            sha256: data.sha256().to_owned(),
            prepared: (*preparation != Preparation::default()).then(|| preparation.to_string()),
        };
        Ok((data, images))
    }
}
