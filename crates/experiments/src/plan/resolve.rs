//! From a row and a profile to images, an architecture and a number of epochs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use robin_data::{Dataset, DatasetName, Source, Split};
use robin_nn::Graph;

use super::{PlannedRow, Ran, Request};
use crate::spec::{ClassifierSpec, DataPlace, ProfileSpec, Recipe, Row, Shrink, Spec};
use crate::{Error, Profile, Result};

/// A row with everything that its cells need.
pub(super) struct Resolved<'a> {
    pub(super) planned: PlannedRow,
    pub(super) recipe: &'a Recipe,
    pub(super) train: Dataset,
    pub(super) test: Dataset,
    /// First training images, for the accuracy on the training set.
    pub(super) measured: Dataset,
    /// First test images by their number, so that their checksum is computed once and not for every seed.
    pub(super) first: RefCell<BTreeMap<usize, Dataset>>,
}

impl Resolved<'_> {
    /// The first `count` test images, or all if there are fewer.
    pub(super) fn first_images(&self, count: usize) -> robin_data::Result<Dataset> {
        let count = count.min(self.test.len());
        let mut first = self.first.borrow_mut();
        if let Some(images) = first.get(&count) {
            return Ok(images.clone());
        }
        let images = self.test.take(count)?;
        first.insert(count, images.clone());
        Ok(images)
    }

    /// The row's architecture, as `ran` for one classifier, with `outputs` outputs.
    pub(super) fn graph(&self, item: &str, ran: &Ran, outputs: usize) -> Result<Graph> {
        build(item, &self.planned.row, &ran.model, ran.width, &self.train, outputs)
    }
}

/// Loads each split once, however many rows share it.
pub(super) struct Loader {
    place: DataPlace,
    data_dir: Option<PathBuf>,
    loaded: BTreeMap<(DatasetName, Split), Dataset>,
}

impl Loader {
    pub(super) fn new(place: DataPlace, request: &Request) -> Self {
        Self { place, data_dir: request.data_dir.clone(), loaded: BTreeMap::new() }
    }

    fn load(&mut self, name: DatasetName, split: Split) -> Result<Dataset> {
        if let Some(data) = self.loaded.get(&(name, split)) {
            return Ok(data.clone());
        }
        let failed = |place: String| {
            let dataset = format!("{name}, {split}");
            move |error: robin_data::Error| Error::Data { dataset, place, source: Box::new(error) }
        };
        let (source, place) = match (self.place, &self.data_dir) {
            (DataPlace::Embedded, _) => (Source::Embedded, "embedded".to_owned()),
            (DataPlace::Folder, Some(folder)) => {
                (Source::Folder(folder.clone()), folder.display().to_string())
            }
            (DataPlace::Folder, None) => {
                let folder = robin_data::default_dir().map_err(failed("data folder".to_owned()))?;
                let place = folder.display().to_string();
                (Source::Folder(folder), place)
            }
        };
        let data = Dataset::load(name, split, &source).map_err(failed(place))?;
        self.loaded.insert((name, split), data.clone());
        Ok(data)
    }
}

/// Applies the profile to `row`, and refuses it where it does anything but shrink.
pub(super) fn resolve<'a>(
    spec: &'a Spec,
    row: &Row,
    request: &Request,
    loader: &mut Loader,
) -> Result<Resolved<'a>> {
    let (profile, device) = (request.profile, request.device);
    let fault = |place: String, reason: String| Error::Setting { item: spec.item.clone(), place, reason };
    let recipe = spec.recipes.get(&row.recipe).ok_or_else(|| {
        let names = spec.recipes.keys().cloned().collect::<Vec<_>>().join(", ");
        fault(format!("row {}", row.label()), format!("no recipe {:?} (one of: {names})", row.recipe))
    })?;
    let section = spec.profile(profile);
    let on_gpu = device.ordinal().is_some();
    let (shrink, place) = shrink(section, row, recipe, (profile, on_gpu))
        .map_err(|reason| fault(format!("[{profile}]"), reason))?;

    let mut shrunk = Vec::new();
    if let Some(reading) = spec.reading(request).filter(|reading| spec.is_read_as(&row.recipe, reading)) {
        shrunk.push(format!("recipe {}, read as {reading}: {}", row.recipe, spec.readings[reading].says));
    }
    let mut smaller = |what: &str, asked: Option<usize>, full: usize| match asked {
        None => Ok(full),
        Some(asked) if asked == 0 || asked > full => {
            Err(fault(place.clone(), format!("{what} {asked} does not shrink {full}")))
        }
        Some(asked) => {
            if asked < full {
                shrunk.push(format!("{what} {asked} (paper: {full})"));
            }
            Ok(asked)
        }
    };
    let epochs = smaller("epochs", shrink.epochs, recipe.epochs)?;
    // An embedded subset is smaller than the full set already, which is the paper's.
    let [full_train, full_test] = row.dataset.entry().examples;
    let all_train = loader.load(row.dataset, Split::Train)?;
    let all_test = loader.load(row.dataset, Split::Test)?;
    let count = |asked: Option<usize>, data: &Dataset| Some(asked.unwrap_or(data.len()));
    let train_images = smaller("train images", count(shrink.train_images, &all_train), full_train)?;
    let test_images = smaller("test images", count(shrink.test_images, &all_test), full_test)?;

    let model = shrink.models.get(&row.model).unwrap_or(&row.model);
    let default_width = |name: &str| {
        robin_models::find(name)
            .map(|entry| entry.default_width)
            .map_err(|error| fault(format!("row {}", row.label()), error.to_string()))
    };
    let paper_width = default_width(&row.model)?;
    let own_width = default_width(model)?;
    let width = smaller("width", shrink.width, own_width)?;
    if model != &row.model {
        let parameters = |name: &str, width| -> Result<usize> {
            let graph = build(&spec.item, row, name, width, &all_train, all_train.num_classes())?;
            Ok(graph.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum())
        };
        let (substitute, full) = (parameters(model, width)?, parameters(&row.model, paper_width)?);
        if substitute >= full {
            let reason = format!("{model} ({substitute} parameters) does not shrink {} ({full})", row.model);
            return Err(fault(place, reason));
        }
        shrunk.insert(0, format!("model {model} width {width} (paper: {} width {paper_width})", row.model));
    }

    let take = |data: &Dataset, images: usize, what: &str| {
        data.take(images).map_err(|error| fault(place.clone(), format!("{what} images: {error}")))
    };
    let train = take(&all_train, train_images, "train")?;
    let test = take(&all_test, test_images, "test")?;
    let limit = shrink.training_set_images.or(section.map(|section| section.training_set_images));
    let limit = limit.map_or(train.len(), |limit| limit.clamp(1, train.len()));
    let measured = take(&train, limit, "training set")?;
    let ran = Ran { model: model.clone(), width, train_images, test_images, epochs };
    let classifiers = spec.classifiers.iter().map(|classifier| ran_by(classifier, row, &ran)).collect();
    let waits = row.beyond || row.later.contains(&profile);
    let planned = PlannedRow { row: row.clone(), ran, classifiers, shrunk, waits };
    Ok(Resolved { planned, recipe, train, test, measured, first: RefCell::default() })
}

/// What `section` says of the row, on a GPU or not, and where it says so.
pub(super) fn shrink(
    section: Option<&ProfileSpec>,
    row: &Row,
    recipe: &Recipe,
    (profile, on_gpu): (Profile, bool),
) -> Result<(Shrink, String), String> {
    let Some(section) = section else { return Ok((Shrink::default(), String::new())) };
    if let (Some(gpu), true) = (section.gpu, on_gpu) {
        return Ok((gpu.of(recipe.epochs), format!("[{profile}.gpu]")));
    }
    let general = section.datasets.get(&row.dataset);
    let general = general.ok_or_else(|| format!("says nothing about data set {}", row.dataset))?;
    let place = format!("[{profile}.datasets.{}]", row.dataset);
    Ok(match section.models.get(&row.model) {
        None => (general.clone(), place),
        Some(special) => (general.with(special), format!("{place} with [{profile}.models.{}]", row.model)),
    })
}

/// What `classifier` makes of the row's sizes; `None` if the row has not got it.
fn ran_by(classifier: &ClassifierSpec, row: &Row, ran: &Ran) -> Option<Ran> {
    if classifier.rows.as_ref().is_some_and(|rows| !rows.contains(&row.label())) {
        return None;
    }
    // To the nearest width that the architecture has.
    let step = robin_models::find(&ran.model).map_or(1, |entry| entry.width_step);
    let width = match classifier.width_factor {
        None => ran.width,
        Some(factor) => (ran.width as f64 * factor / step as f64).round().max(1.0) as usize * step,
    };
    Some(Ran { width, ..ran.clone() })
}

fn build(item: &str, row: &Row, model: &str, width: usize, data: &Dataset, outputs: usize) -> Result<Graph> {
    robin_models::build(model, Some(width), data.shape(), outputs).map_err(|error| Error::Setting {
        item: item.to_owned(),
        place: format!("row {}", row.label()),
        reason: error.to_string(),
    })
}
