//! Weight files that say what their networks are for, in the order that their aggregate takes them.
//!
//! Where every file says it, the order in which they were given means nothing; where some do, these must stand at their own
//! places; where none does, the order is all there is, and counts.

use robin_aggregation::Aggregation;
use robin_data::{DatasetName, LabelMap};
use robin_training::Outputs;

use crate::plan::parts;
use crate::role::{Epoch, Role, what};
use crate::spec::ClassifierKind;
use crate::{Error, Result};

/// A weight file that was read.
pub(super) struct File {
    /// Its name, for messages.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) role: Option<Role>,
}

/// What the files are to become.
pub(super) struct Wanted<'a> {
    pub(super) model: &'a str,
    pub(super) aggregate: Option<Aggregation>,
    /// Images `[c, h, w]`.
    pub(super) shape: [usize; 3],
    /// Classes of the images.
    pub(super) classes: usize,
    /// Their data set, if it is a published one.
    pub(super) dataset: Option<DatasetName>,
}

/// What a place in an aggregate is for.
struct Place {
    labels: LabelMap,
    scores: Outputs,
}

impl Place {
    fn fits(&self, role: &Role) -> bool {
        role.labels == self.labels && role.scores == self.scores
    }

    fn what(&self) -> String {
        what(&self.labels, self.scores)
    }
}

impl Wanted<'_> {
    /// The files in the aggregate's order, and what the user should know about their mixture.
    ///
    /// # Errors
    /// [`Error::Unfit`] says which network is missing, there twice, or none of these.
    pub(super) fn arrange(&self, mut files: Vec<File>) -> Result<(Vec<File>, Vec<String>)> {
        if files.iter().all(|file| file.role.is_none()) {
            return Ok((files, Vec::new()));
        }
        self.check_each(&files)?;
        let whole = files.iter().all(|file| file.role.is_some());
        let places = self.places(files.len())?;
        if self.aggregate.is_some_and(Aggregation::takes_members) {
            self.check_members(&files, &places)?;
            // Their mean does not depend on their order, but its last bits might.
            files.sort_by_key(|file| file.role.as_ref().map(|role| (role.training.clone(), role.number)));
            return Ok((files, Vec::new()));
        }
        let warnings = if whole { mixture(&files) } else { Vec::new() };
        if !whole {
            self.check_places(&files, &places)?;
            return Ok((files, warnings));
        }
        let mut faults = Vec::new();
        let mut order = Vec::new();
        for place in &places {
            let here: Vec<usize> = (0..files.len()).filter(|&at| place.fits(role(&files[at]))).collect();
            match here[..] {
                [one] => order.push(one),
                [] => faults.push(format!("{} is missing", place.what())),
                _ => {
                    let names = list(here.iter().map(|&at| &files[at]));
                    faults.push(format!("{} is there {} times: {names}", place.what(), here.len()));
                }
            }
        }
        for file in files.iter().filter(|file| !places.iter().any(|place| place.fits(role(file)))) {
            faults.push(format!("{} is {}, which has no place in it", file.name, role(file).what()));
        }
        if !faults.is_empty() {
            return Err(self.refuse(&faults, &files));
        }
        let mut slots: Vec<Option<File>> = files.into_iter().map(Some).collect();
        Ok((order.into_iter().filter_map(|at| slots[at].take()).collect(), warnings))
    }

    /// Architecture, images and data set of every file that says them.
    fn check_each(&self, files: &[File]) -> Result<()> {
        let known: Vec<(&str, &Role)> =
            files.iter().filter_map(|file| Some((file.name.as_str(), file.role.as_ref()?))).collect();
        let refuse =
            |option, given: &str, reason| Err(Error::Unfit { option, given: given.to_owned(), reason });
        for &(name, role) in &known {
            if role.model != self.model {
                let reason = format!("{name} is {} of architecture {}", role.what(), role.model);
                return refuse("--model", self.model, reason);
            }
            if role.input != self.shape {
                let reason = format!(
                    "it takes images of {:?} ({}), these are {:?}",
                    role.input, role.dataset, self.shape
                );
                return refuse("--weights", name, reason);
            }
            let of_another = |own: &DatasetName| self.dataset.is_some_and(|dataset| dataset != *own);
            if role.dataset.parse::<DatasetName>().as_ref().is_ok_and(of_another) {
                return refuse(
                    "--weights",
                    name,
                    format!("it was trained on {}, which these images are not", role.dataset),
                );
            }
        }
        let first = known[0];
        match known.iter().find(|(_, role)| role.dataset != first.1.dataset) {
            Some((name, role)) => {
                let reason = format!(
                    "it was trained on {}, but {} on {}: they are not of one classifier",
                    role.dataset, first.0, first.1.dataset
                );
                refuse("--weights", name, reason)
            }
            None => Ok(()),
        }
    }

    /// What the aggregate's places are for.
    fn places(&self, files: usize) -> Result<Vec<Place>> {
        let kind = self.aggregate.map_or(ClassifierKind::Single, ClassifierKind::Aggregate);
        // The negative control is made of the same arms.
        let members = self.aggregate.is_some_and(Aggregation::takes_members).then_some(files.max(2));
        let parts = parts(kind, members, false, self.classes).map_err(|reason| Error::Unfit {
            option: "--aggregate",
            given: kind.to_string(),
            reason,
        })?;
        Ok(parts.into_iter().map(|part| Place { labels: part.labels, scores: part.outputs }).collect())
    }

    fn check_members(&self, files: &[File], places: &[Place]) -> Result<()> {
        let odd = files.iter().filter(|file| file.role.as_ref().is_some_and(|role| !places[0].fits(role)));
        let mut faults: Vec<String> = odd
            .map(|file| format!("{} is {}, which has no place in it", file.name, role(file).what()))
            .collect();
        let member = |file: &File| file.role.as_ref().map(|role| (role.training.clone(), role.number));
        for (at, file) in files.iter().enumerate().filter(|(_, file)| file.role.is_some()) {
            let same: Vec<&File> = files.iter().filter(|other| member(other) == member(file)).collect();
            if same.len() > 1 && !files[..at].iter().any(|other| member(other) == member(file)) {
                faults.push(format!("one network is there {} times: {}", same.len(), list(same.into_iter())));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(self.refuse(&faults, files)) }
    }

    /// Without a word of some files the order counts, and those that do say what they are must agree with it.
    fn check_places(&self, files: &[File], places: &[Place]) -> Result<()> {
        for (at, file) in files.iter().enumerate() {
            let Some(role) = &file.role else { continue };
            if places.get(at).is_some_and(|place| place.fits(role)) {
                continue;
            }
            let own = places.iter().position(|place| place.fits(role));
            let place = own
                .map_or("it has no place in it".to_owned(), |own| format!("its place is number {}", own + 1));
            let fault = format!(
                "{} is {} and stands as number {}, but {place}; some files do not say what they are, so the order counts",
                file.name,
                role.what(),
                at + 1
            );
            return Err(self.refuse(&[fault], files));
        }
        Ok(())
    }

    fn refuse(&self, faults: &[String], files: &[File]) -> Error {
        let all = |fits: fn(&LabelMap) -> bool| {
            files.iter().all(|file| file.role.as_ref().is_some_and(|role| fits(&role.labels)))
        };
        let classes_beyond = files.iter().filter_map(|file| match file.role.as_ref()?.labels {
            LabelMap::OneVsAll { class } => Some(class as usize + 1),
            LabelMap::OneVsOne { a, b } => Some(a.max(b) as usize + 1),
            LabelMap::Identity => file.role.as_ref().map(|role| role.outputs),
            _ => None,
        });
        let most = classes_beyond.max().unwrap_or(0);
        let hint = if most > self.classes {
            format!(
                "; the images have {} classes as far as their labels go: if there are more, give --classes {most}",
                self.classes
            )
        } else if all(|labels| matches!(labels, LabelMap::OneVsAll { .. })) && self.aggregate.is_none() {
            "; all arms together are a classifier with --aggregate one-vs-all".to_owned()
        } else if all(|labels| matches!(labels, LabelMap::OneVsOne { .. })) && self.aggregate.is_none() {
            "; all pairs together are a classifier with --aggregate one-vs-one".to_owned()
        } else if files.len() == 1 && role_is(files, Outputs::Classes) {
            "; a multiclass network is a classifier without --aggregate".to_owned()
        } else if files.len() == 1 && role_is(files, Outputs::OneVsAll) {
            "; it is a classifier with --aggregate shared-trunk".to_owned()
        } else {
            String::new()
        };
        let given = match self.aggregate {
            Some(aggregate) => aggregate.to_string(),
            None => "(nothing, so one network with all classes)".to_owned(),
        };
        Error::Unfit { option: "--aggregate", given, reason: faults.join("; ") + &hint }
    }
}

/// Files with their epochs, which tell `arm-3.best` from `arm-3`.
fn list<'a>(files: impl Iterator<Item = &'a File>) -> String {
    let one = |file: &File| match role(file).epoch {
        Epoch::Last => format!("{} (last epoch)", file.name),
        Epoch::Best => format!("{} (best epoch)", file.name),
    };
    files.map(one).collect::<Vec<_>>().join(", ")
}

/// Whether the only file is a network with all classes and such scores.
fn role_is(files: &[File], scores: Outputs) -> bool {
    let role = files.first().and_then(|file| file.role.as_ref());
    role.is_some_and(|role| role.labels == LabelMap::Identity && role.scores == scores)
}

fn role(file: &File) -> &Role {
    file.role.as_ref().expect("asked only where every file has one")
}

/// Networks of one classifier that were not made together: allowed, but seldom meant.
fn mixture(files: &[File]) -> Vec<String> {
    let mut warnings = Vec::new();
    let first = &files[0];
    let other = |differs: &dyn Fn(&Role) -> bool| files.iter().find(|file| differs(role(file)));
    if let Some(other) = other(&|found| found.training != role(first).training) {
        warnings.push(format!(
            "{} and {} come from trainings with different settings or seeds: is this one classifier?",
            first.name, other.name
        ));
    }
    if let Some(other) = other(&|found| found.epoch != role(first).epoch) {
        warnings.push(format!(
            "of {} and {} one is the best epoch and the other the last: is this one classifier?",
            first.name, other.name
        ));
    }
    warnings
}
