//! What a request comes to: every setting resolved, every cell with its key, before the first epoch.

mod cells;
mod check;
mod chosen;
mod networks;
mod resolve;
pub(crate) mod settings;
mod studies;
pub mod study;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use robin_aggregation::StrategyChoice;
use robin_core::Epsilon;
use serde::Serialize;

pub(crate) use networks::{MOST_ORDERS, Part, class_count, parts};
pub(crate) use settings::{NetworkIdentity, check_normalize, network_settings};
use study::PlannedStudy;

use crate::cell::Cell;
use crate::spec::{ClassifierSpec, Column, FigureSpec, Layout, Row, Spec};
use crate::{Device, Profile, Result};

/// What the user asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How much is done.
    pub profile: Profile,
    /// Keep only rows whose label contains one of these, separated by commas.
    pub rows: Option<String>,
    /// Also rows, classifiers and columns that the paper has not got.
    pub beyond: bool,
    /// How recipes are read, one of [`Spec::readings`]; `None` = as the profile does.
    pub reading: Option<String>,
    /// Root seeds in place of the profile's.
    pub seeds: Option<Vec<u64>>,
    /// Attacks by name, each on only its first so many test images: fewer than the profile has.
    pub attack_images: BTreeMap<String, usize>,
    /// What does the arithmetic.
    pub device: Device,
    /// Folder of the full data sets; `None` = [`robin_data::default_dir`].
    pub data_dir: Option<PathBuf>,
}

/// Everything that the items asked for need, each piece of work once.
#[derive(Debug)]
pub struct Plan {
    /// How much is done.
    pub profile: Profile,
    /// What does the arithmetic.
    pub device: Device,
    /// What is asked for.
    pub items: Vec<PlannedItem>,
    /// The work, in an order in which it can be done: what a cell needs stands before it.
    pub cells: Vec<Cell>,
}

impl Plan {
    /// Resolves `specs`. An item none of whose rows passes the filter is left out.
    ///
    /// # Errors
    /// Every mistake that can be found without training: unknown names, settings that contradict each other,
    /// data that is not there, attacks that cannot be built.
    pub fn new(specs: &[Spec], request: &Request) -> Result<Self> {
        cells::plan(specs, request)
    }
}

/// An item, and where its numbers are.
#[derive(Debug)]
pub struct PlannedItem {
    /// Its name.
    pub item: String,
    /// Its heading.
    pub title: String,
    /// How its table is laid out.
    pub layout: Layout,
    /// Root seeds.
    pub seeds: Vec<u64>,
    /// Rows that passed the filter.
    pub rows: Vec<PlannedRow>,
    /// What is compared.
    pub classifiers: Vec<ClassifierSpec>,
    /// How it is measured.
    pub columns: Vec<Column>,
    /// Which cell (of [`Plan::cells`]) has which number.
    pub places: Vec<(Place, usize)>,
    /// What is drawn.
    pub figures: Vec<FigureSpec>,
    /// Classifiers whose difference is judged.
    pub compare: Vec<[String; 2]>,
    /// Strategies whose misclassified examples are compared.
    pub overlaps: Vec<[StrategyChoice; 2]>,
    /// What is measured beyond tables.
    pub study: Option<PlannedStudy>,
    /// Said below the table.
    pub notes: Vec<String>,
    /// Said as well where anything beyond the paper is shown.
    pub beyond_notes: Vec<String>,
    /// Which attacks the profile made cheaper: their names, and in words how.
    pub shrunk_attacks: Vec<(String, String)>,
}

/// A row, and what the profile made of it.
#[derive(Debug, Clone)]
pub struct PlannedRow {
    /// As written.
    pub row: Row,
    /// As run.
    pub ran: Ran,
    /// As run, by classifier; `None` for one that this row has not.
    pub classifiers: Vec<Option<Ran>>,
    /// In words, what the profile shrank; empty if nothing.
    pub shrunk: Vec<String>,
    /// Whether it is neither shown nor missed until it has a number: what is beyond the paper, and what a profile leaves for later.
    pub waits: bool,
}

/// What a row was run with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// Architecture.
    pub model: String,
    /// Channels of its first convolution.
    pub width: usize,
    /// Training images.
    pub train_images: usize,
    /// Test images.
    pub test_images: usize,
    /// Passes over the training images.
    pub epochs: usize,
}

/// A result's place in its item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// In [`PlannedItem::rows`].
    pub row: usize,
    /// In [`PlannedItem::classifiers`].
    pub classifier: usize,
    /// In [`PlannedItem::columns`].
    pub column: usize,
    /// Test budget; `None` when clean.
    pub test: Option<Epsilon>,
    /// Root seed.
    pub seed: u64,
    /// `None` when clean or transferred.
    pub strategy: Option<StrategyChoice>,
}
