//! Witnesses against weights and clean data, from files alone.

use std::path::Path;

use robin_evaluation::{Verification, Witnesses};

use super::description::MOST_BYTES;
use super::{How, ImagesRequest, ModelRequest, ModelUnderTest};
use crate::{Error, Result};

/// Checks every witness in `file`.
///
/// # Errors
/// As [`super::attack()`]; witnesses of other data are an error, witnesses that do not hold are counted.
pub fn verify(
    file: &Path,
    subject: &ModelRequest,
    images: &ImagesRequest,
    how: &How<'_>,
) -> Result<Verification> {
    let bytes = robin_files::read(file, MOST_BYTES).map_err(Error::io(file, "read the witnesses"))?;
    let witnesses = Witnesses::from_safetensors(&bytes, &file.display().to_string())
        .map_err(Error::work("reading the witnesses"))?;
    let (data, described) = images.load()?;
    let subject = ModelUnderTest::load(subject, &data, &described, how)?;
    robin_evaluation::witnesses::verify(
        &witnesses,
        subject.classifier.as_ref(),
        &data,
        how.batch_size,
        how.cancel,
    )
    .map_err(Error::work("checking the witnesses"))
}
