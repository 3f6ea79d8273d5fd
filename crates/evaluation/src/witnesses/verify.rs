//! Checking witnesses from files alone: nothing that an attack said is believed.

use candle_core::{Device, Tensor};
use robin_core::{CancelToken, Classifier, ExampleId, host};
use robin_data::{Dataset, LabelMap};
use serde::Serialize;

use super::Witnesses;
use crate::options::batches;
use crate::{Error, Result};

/// What a check of witnesses found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Number of witnesses.
    pub n: usize,
    /// How many hold: within the budget and the box, of the label that the data has, and misclassified.
    pub valid: usize,
    /// The largest perturbation, in the budget's norm.
    pub largest_size: f64,
    /// What is wrong with the others: `example 17: ...`.
    pub faults: Vec<String>,
    /// The same after rounding every pixel to 8 bits.
    pub rounded: Rounded,
}

/// Witnesses as images that a file of 8 bits per channel can hold; those that are no image within the budget to begin
/// with are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rounded {
    /// Still misclassified.
    pub misclassified: usize,
    /// Still misclassified and still within the budget, without any slack for the rounding.
    pub valid: usize,
}

impl Verification {
    /// Whether every witness holds.
    pub fn holds(&self) -> bool {
        self.valid == self.n
    }
}

/// Checks every witness against the clean `data` and the classifier.
///
/// # Errors
/// [`Error::OtherData`] if the witnesses are of other data; otherwise as the classifier's.
pub fn verify(
    witnesses: &Witnesses,
    model: &dyn Classifier,
    data: &Dataset,
    batch_size: usize,
    cancel: &CancelToken,
) -> Result<Verification> {
    let found = data.sha256()?;
    if found != witnesses.data_sha256 {
        let (expected, found) = (witnesses.data_sha256.clone(), found.to_owned());
        return Err(Error::OtherData { what: "the witnesses", expected, found });
    }
    let [c, h, w] = witnesses.shape;
    let length = c * h * w;
    let mut result = Verification {
        n: witnesses.len(),
        valid: 0,
        largest_size: 0.0,
        faults: Vec::new(),
        rounded: Rounded { misclassified: 0, valid: 0 },
    };
    let places: Vec<u32> = (0..witnesses.len() as u32).collect();
    for places in batches(batch_size, &places)? {
        cancel.check()?;
        let ids: Vec<ExampleId> =
            places.iter().map(|&at| ExampleId::first(witnesses.ids[at as usize])).collect();
        let clean = data.batch(&ids, &LabelMap::Identity)?;
        let shape = (places.len(), c, h, w);
        let pixels = &witnesses.images[places[0] as usize * length..][..places.len() * length];
        let images = Tensor::from_slice(pixels, shape, &Device::Cpu)?;
        let legal: Vec<_> = (0..places.len())
            .map(|row| {
                Ok(witnesses.budget.verify(&clean.images.narrow(0, row, 1)?, &images.narrow(0, row, 1)?))
            })
            .collect::<Result<_>>()?;
        // A classifier is not asked about what is no image: the clean one stands in, and the fault is counted
        // anyway.
        let clean_pixels = host::to_vec(&clean.images)?;
        let asked = pixels.iter().enumerate().map(|(at, &pixel)| match legal[at / length] {
            Ok(()) => pixel,
            Err(_) => clean_pixels[at],
        });
        let asked: Vec<f32> = asked.collect();
        let rounded: Vec<f32> = asked.iter().map(|pixel| (pixel * 255.0).round() / 255.0).collect();
        let predictions = model.predict(&Tensor::from_slice(&asked, shape, &Device::Cpu)?)?;
        let rounded = Tensor::from_vec(rounded, shape, &Device::Cpu)?;
        let rounded_predictions = model.predict(&rounded)?;
        for (row, &at) in places.iter().enumerate() {
            let (id, label) = (ids[row].index, clean.labels[row]);
            let own = row * length..(row + 1) * length;
            let size = witnesses.budget.norm.distance(&clean_pixels[own.clone()], &pixels[own]);
            result.largest_size = result.largest_size.max(size);
            let (said, found) = (witnesses.predictions[at as usize], predictions[row]);
            let fault = if let Err(error) = &legal[row] {
                Some(error.to_string())
            } else if witnesses.labels[at as usize] != label {
                Some(format!("its label is {}, the data say {label}", witnesses.labels[at as usize]))
            } else if found == label {
                Some(format!("it is classified as {label}, which is right"))
            } else if found != said {
                Some(format!("it is classified as {found}, the file says {said}"))
            } else {
                None
            };
            match fault {
                Some(fault) => result.faults.push(format!("example {id}: {fault}")),
                None => result.valid += 1,
            }
            // Where the clean image stood in there is nothing to round.
            if legal[row].is_ok() && rounded_predictions[row] != label {
                result.rounded.misclassified += 1;
                let (clean, rounded) = (clean.images.narrow(0, row, 1)?, rounded.narrow(0, row, 1)?);
                let legal = witnesses.budget.verify(&clean, &rounded);
                result.rounded.valid += usize::from(legal.is_ok());
            }
        }
    }
    Ok(result)
}
