//! Tensors as what people look at.

use candle_core::Tensor;
use robin_core::{Norm, Scores, host};

use super::Picture;
use crate::{Error, Result};

/// `[n][m]`.
pub(super) fn rows_of(scores: &Scores) -> Result<Vec<Vec<f64>>> {
    let values = scores.to_vec().map_err(Error::work("reading scores"))?;
    Ok(values
        .chunks(scores.columns())
        .map(|row| row.iter().map(|&score| f64::from(score)).collect())
        .collect())
}

/// `images` `[n, c, h, w]` in `[0, 1]`, rounded to 8 bits.
pub(super) fn pictures(images: &Tensor) -> Result<Vec<Picture>> {
    let (_, channels, height, width) =
        images.dims4().map_err(Error::work("reading the shape of the gallery's images"))?;
    let values = host::to_vec(images).map_err(Error::work("reading the gallery's images"))?;
    let picture = |pixels: &[f32]| Picture {
        channels,
        height,
        width,
        pixels: pixels.iter().map(|&value| (value * 255.0).round() as u8).collect(),
    };
    Ok(values.chunks(channels * height * width).map(picture).collect())
}

/// Size of each perturbation, `[n]`.
pub(super) fn sizes(clean: &Tensor, perturbed: &Tensor, norm: Norm) -> Result<Vec<f64>> {
    let (n, _) = host::image_rows("images", clean).map_err(Error::work("reading the gallery's images"))?;
    let [clean, perturbed] = [clean, perturbed].map(host::to_vec);
    let (clean, perturbed) = clean
        .and_then(|clean| Ok((clean, perturbed?)))
        .map_err(Error::work("reading the gallery's images"))?;
    let length = clean.len() / n;
    Ok(clean.chunks(length).zip(perturbed.chunks(length)).map(|(old, new)| norm.distance(old, new)).collect())
}
