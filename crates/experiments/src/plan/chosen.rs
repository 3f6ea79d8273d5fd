//! What the user chose of the items: rows, seeds, images.

use std::collections::BTreeSet;

use super::Request;
use crate::spec::{Row, Spec};
use crate::{Error, Result};

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

/// Rows of the profile that the filter lets pass.
pub(super) fn chosen_rows<'a>(spec: &'a Spec, request: &Request) -> Vec<&'a Row> {
    let parts: Option<Vec<&str>> =
        request.rows.as_ref().map(|filter| filter.split(',').map(str::trim).collect());
    let passes = |row: &&Row| {
        parts
            .as_ref()
            .is_none_or(|parts| parts.iter().any(|part| !part.is_empty() && row.label().contains(part)))
    };
    let in_profile =
        |row: &&Row| row.profiles.as_ref().is_none_or(|profiles| profiles.contains(&request.profile));
    spec.rows.iter().filter(in_profile).filter(passes).collect()
}

/// Refuses no seed at all, and a seed that is named twice.
pub(super) fn check_seeds(seeds: &[u64]) -> Result<()> {
    let reason = if seeds.is_empty() {
        "at least one seed is needed"
    } else if seeds.iter().enumerate().any(|(at, seed)| seeds[..at].contains(seed)) {
        "a seed is named twice"
    } else {
        return Ok(());
    };
    Err(Error::Seeds { given: seeds.to_vec(), reason })
}
