//! Witnesses against weights and clean data, from files alone.

use std::path::Path;

use robin_evaluation::{Verification, Witnesses};

use super::description::MOST_BYTES;
use super::{ImagesRequest, ModelRequest, ModelUnderTest, RunOptions};
use crate::{Error, Result};

/// Checks every witness in `file`.
///
/// # Errors
/// As [`super::attack()`]; witnesses of other data are an error, witnesses that do not hold are counted.
pub fn verify(
    file: &Path,
    model: &ModelRequest,
    images: &ImagesRequest,
    run_options: &RunOptions<'_>,
) -> Result<Verification> {
    let bytes = robin_files::read(file, MOST_BYTES).map_err(Error::io(file, "read the witnesses"))?;
    let witnesses = Witnesses::from_safetensors(&bytes, &file.display().to_string())
        .map_err(Error::work("reading the witnesses"))?;
    let (data, described) = images.load()?;
    let model = ModelUnderTest::load(model, &data, &described, run_options)?;
    robin_evaluation::witnesses::verify(
        &witnesses,
        model.classifier.as_ref(),
        &data,
        run_options.batch_size,
        run_options.cancel,
    )
    .map_err(Error::work("checking the witnesses"))
}
