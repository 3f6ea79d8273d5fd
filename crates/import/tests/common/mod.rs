//! A network out of a file beside PyTorch's numbers.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var, safetensors};
use robin_core::{Columns, host};
use robin_import::{Network, Result};
use robin_nn::candle::{Mode, Weights, forward};
use robin_nn::{Executor, executor};

/// How far a network is from PyTorch's.
#[derive(Debug)]
#[allow(dead_code, reason = "the tests and the example each read a part of it")]
pub(crate) struct Differences {
    /// The largest of a logit.
    pub(crate) logits: f64,
    /// The largest of PyTorch's logits.
    pub(crate) scale: f64,
    /// The largest of the input gradient of the sum of cross-entropies, by the largest value of PyTorch's.
    pub(crate) gradient: f64,
    /// Of the whole gradient: the length of the difference by the length of PyTorch's.
    pub(crate) whole_gradient: f64,
    /// Logits and gradient beside PyTorch's numbers in double precision.
    pub(crate) wide: [f64; 2],
    /// The same of the network's layers in double precision, as candle has them: this is the import without rounding, and
    /// without rectifiers that rounding opens or closes.
    pub(crate) in_f64: [f64; 2],
    /// PyTorch's gradient in single precision beside its own in double precision.
    pub(crate) pytorch: f64,
    /// Reading the file, and the pass forward and back in single precision.
    pub(crate) seconds: f64,
}

/// Runs what `read` makes of images `[c, h, w]` on the images of the file `reference`, and compares.
pub(crate) fn compare(
    reference: &Path,
    read: impl FnOnce([usize; 3]) -> Result<Network>,
) -> Result<Differences> {
    let tensors = safetensors::load(reference, &Device::Cpu).expect("a file of export_models.py");
    let images = &tensors["images"];
    let [n, shape @ ..] = images.dims() else { panic!("images of {:?}", images.dims()) };
    let begun = Instant::now();
    let network = read(shape.try_into().expect("images are [n, c, h, w]"))?;
    let cpu: &dyn Executor = executor("cpu")?;
    let classifier = cpu.classifier(&network.graph, &network.parameters)?;
    let classes = classifier.num_classes();
    let pass = classifier.forward(images, &Columns::All).expect("images of the network's shape");
    let logits = pass.scores().to_vec().expect("finite scores");
    let labels = tensors["labels"].to_vec1::<i64>().expect("labels are int64");
    let wide: Vec<f64> = logits.iter().copied().map(f64::from).collect();
    let slopes = slopes(&wide, classes, &labels).into_iter().map(|slope| slope as f32).collect();
    let slopes = Tensor::from_vec(slopes, (*n, classes), &Device::Cpu).expect("a slope for each score");
    let gradient = pass.input_gradient(&slopes).expect("the gradient reaches the images");
    let gradient = host::to_vec(&gradient).expect("on the host");
    let [logits, gradient] =
        [logits, gradient].map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
    let seconds = begun.elapsed().as_secs_f64();
    let (judged, judged_gradient) = in_f64(&network, images, &labels).expect("candle runs every layer");
    Ok(Differences {
        logits: gap(&logits, &expected(&tensors, "logits")),
        scale: largest(&expected(&tensors, "logits")),
        gradient: relative(&gradient, &expected(&tensors, "gradient")),
        whole_gradient: whole(&gradient, &expected(&tensors, "gradient")),
        wide: [
            gap(&logits, &expected(&tensors, "logits.float64")),
            relative(&gradient, &expected(&tensors, "gradient.float64")),
        ],
        in_f64: [
            gap(&judged, &expected(&tensors, "logits.float64")),
            relative(&judged_gradient, &expected(&tensors, "gradient.float64")),
        ],
        pytorch: relative(&expected(&tensors, "gradient"), &expected(&tensors, "gradient.float64")),
        seconds,
    })
}

/// Slopes of the sum of cross-entropies on logits.
fn slopes(logits: &[f64], classes: usize, labels: &[i64]) -> Vec<f64> {
    let mut slopes = Vec::new();
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        let largest = row.iter().copied().fold(f64::MIN, f64::max);
        let powers: Vec<f64> = row.iter().map(|score| (score - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let hot = |class: usize| f64::from(u8::from(class == label as usize));
        slopes.extend(powers.iter().enumerate().map(|(class, power)| power / sum - hot(class)));
    }
    slopes
}

/// Logits and input gradient by candle's layers in double precision, image by image, which takes less memory.
fn in_f64(network: &Network, images: &Tensor, labels: &[i64]) -> candle_core::Result<(Vec<f64>, Vec<f64>)> {
    let weights = Weights::constant(&network.parameters, DType::F64).map_err(candle_core::Error::wrap)?;
    let (mut logits, mut gradient) = (Vec::new(), Vec::new());
    for (at, &label) in labels.iter().enumerate() {
        let image = Var::from_tensor(&images.narrow(0, at, 1)?.to_dtype(DType::F64)?)?;
        let scores =
            forward(&network.graph, &weights, &image, Mode::Evaluation).map_err(candle_core::Error::wrap)?;
        let row = scores.flatten_all()?.to_vec1::<f64>()?;
        let slopes = Tensor::from_vec(slopes(&row, row.len(), &[label]), (1, row.len()), &Device::Cpu)?;
        let gradients = (scores * slopes)?.sum_all()?.backward()?;
        let of_image = gradients.get(&image).expect("the gradient reaches the images");
        gradient.extend(of_image.flatten_all()?.to_vec1::<f64>()?);
        logits.extend(row);
    }
    Ok((logits, gradient))
}

fn expected(tensors: &HashMap<String, Tensor>, name: &str) -> Vec<f64> {
    let tensor = tensors[name].to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all());
    tensor.and_then(|tensor| tensor.to_vec1::<f64>()).expect("numbers")
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

fn differences(found: &[f64], expected: &[f64]) -> Vec<f64> {
    assert_eq!(found.len(), expected.len());
    let gaps = found.iter().zip(expected).map(|(found, expected)| found - expected);
    gaps.map(|gap| if gap.is_nan() { f64::INFINITY } else { gap }).collect()
}

fn gap(found: &[f64], expected: &[f64]) -> f64 {
    largest(&differences(found, expected))
}

fn relative(found: &[f64], expected: &[f64]) -> f64 {
    gap(found, expected) / largest(expected)
}

fn whole(found: &[f64], expected: &[f64]) -> f64 {
    let length = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    length(&differences(found, expected)) / length(expected)
}
