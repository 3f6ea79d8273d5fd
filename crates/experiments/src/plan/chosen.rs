//! What the user chose of the items: rows, seeds, images.

use std::collections::BTreeSet;

use super::Request;
use crate::spec::{Row, Spec};
use crate::{Error, Profile, Result};

impl Spec {
    /// The reading that the request asks for, else the one of its profile.
    pub(super) fn reading<'a>(&'a self, request: &'a Request) -> Option<&'a str> {
        let own = self.profile(request.profile).and_then(|section| section.reading.as_deref());
        request.reading.as_deref().or(own)
    }
}

/// Refuses a number of images for an attack that no item has.
pub(super) fn check_attack_images(specs: &[Spec], request: &Request) -> Result<()> {
    let known: BTreeSet<&str> =
        specs.iter().flat_map(|spec| spec.attacks.keys()).map(String::as_str).collect();
    match request.attack_images.keys().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::Unknown {
            what: "attack",
            given: name.clone(),
            valid: known.into_iter().collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Rows of the profile that the filter lets pass, those of the data sets that it puts first before the others.
pub(super) fn chosen_rows<'a>(spec: &'a Spec, request: &Request) -> Vec<&'a Row> {
    let asked =
        |row: &&Row| is_in(spec, row, request.profile) && passes(row, request) && !is_later(row, request);
    let mut rows: Vec<&Row> = spec.rows.iter().filter(asked).collect();
    if let Some(section) = spec.profile(request.profile) {
        rows.sort_by_key(|row| !section.first.contains(&row.dataset));
    }
    rows
}

/// Whether the row waits until it is named, or everything is asked for.
fn is_later(row: &Row, request: &Request) -> bool {
    row.later.contains(&request.profile) && !request.beyond && request.rows.is_none()
}

/// Names of the rows that the profile has.
pub(super) fn all_rows(specs: &[Spec], profile: Profile) -> String {
    let rows = specs.iter().flat_map(|spec| spec.rows.iter().filter(move |row| is_in(spec, row, profile)));
    match rows.map(Row::label).collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        rows => rows.join(", "),
    }
}

/// Where the rows are that the filter means: beyond the paper, or in another profile.
pub(super) fn hint(specs: &[Spec], request: &Request) -> &'static str {
    let meant = |spec: &Spec| spec.rows.iter().any(|row| passes(row, request));
    let here =
        |spec: &Spec| spec.rows.iter().any(|row| passes(row, request) && is_in(spec, row, request.profile));
    match specs.iter().any(meant) {
        false => "",
        true if specs.iter().any(here) => "; with --beyond there is one",
        true => "; another profile has one",
    }
}

fn is_in(spec: &Spec, row: &Row, profile: Profile) -> bool {
    let models = spec.profile(profile).and_then(|section| section.only_models.as_ref());
    row.profiles.as_ref().is_none_or(|profiles| profiles.contains(&profile))
        && models.is_none_or(|models| models.contains(&row.model))
}

/// Whether the filter names the row; no filter names all.
fn passes(row: &Row, request: &Request) -> bool {
    let label = row.label();
    let names = |filter: &String| {
        filter.split(',').map(str::trim).any(|part| !part.is_empty() && label.contains(part))
    };
    request.rows.as_ref().is_none_or(names)
}

/// Most root seeds of a run, each of which trains every network.
const MOST_SEEDS: usize = 10_000;

/// Refuses no seed at all, more than anybody runs, and a seed that is named twice.
pub(super) fn check_seeds(seeds: &[u64]) -> Result<()> {
    let reason = if seeds.is_empty() {
        "at least one seed is needed"
    } else if seeds.len() > MOST_SEEDS {
        "at most 10000 seeds are run at once"
    } else if seeds.iter().enumerate().any(|(at, seed)| seeds[..at].contains(seed)) {
        "a seed is named twice"
    } else {
        return Ok(());
    };
    Err(Error::Seeds { given: seeds.to_vec(), reason })
}
