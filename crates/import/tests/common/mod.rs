//! A network out of a file beside PyTorch's numbers.

use std::path::Path;

use candle_core::{DType, Device, Tensor, safetensors};
use robin_core::{Columns, host};
use robin_import::{Network, Result};
use robin_nn::{Executor, executor};

/// How far a network is from PyTorch's.
#[derive(Debug)]
pub(crate) struct Differences {
    /// The largest of a logit.
    pub(crate) logits: f64,
    /// The largest of the input gradient of the sum of cross-entropies, by the largest value of PyTorch's.
    pub(crate) gradient: f64,
    /// The same beside PyTorch's numbers in double precision.
    pub(crate) wide: [f64; 2],
}

/// Runs what `read` makes of images `[c, h, w]` on the images of the file `reference`, and compares.
pub(crate) fn compare(
    reference: &Path,
    read: impl FnOnce([usize; 3]) -> Result<Network>,
) -> Result<Differences> {
    let tensors = safetensors::load(reference, &Device::Cpu).expect("a file of export_models.py");
    let images = &tensors["images"];
    let [n, shape @ ..] = images.dims() else { panic!("images of {:?}", images.dims()) };
    let network = read(shape.try_into().expect("images are [n, c, h, w]"))?;
    let cpu: &dyn Executor = executor("cpu")?;
    let classifier = cpu.classifier(&network.graph, &network.parameters)?;
    let classes = classifier.num_classes();
    let pass = classifier.forward(images, &Columns::All).expect("images of the network's shape");
    let logits = pass.scores().to_vec().expect("finite scores");
    let labels = tensors["labels"].to_vec1::<i64>().expect("labels are int64");
    let mut slopes = Vec::new();
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        let powers: Vec<f64> = row.iter().map(|score| f64::from(score - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let hot = |class: usize| f64::from(u8::from(class == label as usize));
        slopes.extend(powers.iter().enumerate().map(|(class, power)| (power / sum - hot(class)) as f32));
    }
    let slopes = Tensor::from_vec(slopes, (*n, classes), &Device::Cpu).expect("a slope for each score");
    let gradient = pass.input_gradient(&slopes).expect("the gradient reaches the images");
    let gradient = host::to_vec(&gradient).expect("on the host");
    let expected = |name: &str| {
        let tensor = tensors[name].to_dtype(DType::F64).and_then(|tensor| tensor.flatten_all());
        tensor.and_then(|tensor| tensor.to_vec1::<f64>()).expect("numbers")
    };
    let largest = |name: &str| expected(name).iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let gap = |found: &[f32], name: &str| {
        let expected = expected(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        let gaps = found.iter().zip(&expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
        gaps.fold(0.0, |largest: f64, gap| if gap.is_nan() { f64::INFINITY } else { largest.max(gap) })
    };
    Ok(Differences {
        logits: gap(&logits, "logits"),
        gradient: gap(&gradient, "gradient") / largest("gradient"),
        wide: [
            gap(&logits, "logits.float64"),
            gap(&gradient, "gradient.float64") / largest("gradient.float64"),
        ],
    })
}
