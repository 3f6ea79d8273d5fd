//! The images that a classifier is shown.

use std::path::PathBuf;

use robin_core::{Purpose, Seed};
use robin_data::{Choice, Dataset, DatasetName, Preparation, Source, Split};
use serde::Serialize;

use crate::{Error, Result, caveats};

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
    /// The first so many, or so many drawn at random; `None`: all.
    pub limit: Option<usize>,
    /// Draw them at random by this seed; `None`: the first ones.
    pub sample: Option<u64>,
    /// How many classes there are; `None`: as the data set says, or its labels.
    pub classes: Option<usize>,
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
    /// The seed by which they were drawn; nothing if they are the first ones, or all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// Classes that none of them has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_classes: Vec<usize>,
    /// What is doubtful about them, in words.
    #[serde(skip)]
    pub warnings: Vec<String>,
    /// The published data set, if it is one.
    #[serde(skip)]
    pub published: Option<DatasetName>,
    /// What was done to them first, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
}

impl ImagesRequest {
    /// Loads them.
    ///
    /// # Errors
    /// [`Error::Data`]; [`Error::Unfit`] for images of one class.
    pub fn load(&self) -> Result<(Dataset, Images)> {
        let Self { dataset, split, embedded, data_dir, limit, sample, classes, preparation } = self;
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
        // Only those are read that are asked for, where a format allows it and it can be said beforehand which.
        let read = limit.filter(|_| sample.is_none() && dataset.is_read_in_part(*split));
        let load = || {
            let whole = dataset.load_prepared(*split, &source, read, preparation)?;
            let whole = classes.map_or_else(|| Ok(whole.clone()), |classes| whole.with_classes(classes))?;
            let data = chosen(&whole, *limit, *sample)?;
            Ok((whole, data))
        };
        let (whole, data) = load().map_err(failed(place.clone()))?;
        let sha256 = data.sha256().map_err(failed(place))?.to_owned();
        if let Some(reason) = caveats::one_class(&whole) {
            return Err(Error::Unfit { option: "--dataset", given: dataset.to_string(), reason });
        }
        let published = dataset.published();
        let whole = read.is_none().then_some(&whole);
        let images = Images {
            dataset: dataset.to_string(),
            split: split.to_string(),
            n: data.len(),
            sha256,
            sample: *sample,
            missing_classes: caveats::missing(&data),
            warnings: caveats::images(&data, whole, published).collect(),
            published,
            prepared: (*preparation != Preparation::default()).then(|| preparation.to_string()),
        };
        Ok((data, images))
    }
}

/// The first `limit` of `whole`, or so many drawn by the seed `sample`.
///
/// # Errors
/// Those of [`Dataset::take`].
pub(crate) fn chosen(
    whole: &Dataset,
    limit: Option<usize>,
    sample: Option<u64>,
) -> robin_data::Result<Dataset> {
    let count = limit.unwrap_or(whole.len());
    match sample {
        Some(seed) => whole.sample(count, Seed::new(seed).derive(Purpose::Sample, 0)),
        None => whole.take(count),
    }
}
