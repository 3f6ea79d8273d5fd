//! What the examples share: digits as tensors, and a small network of candle's layers that has learned them.

use robin::candle::{DType, Device, Module, Result, Tensor};
use robin::candle_nn::{AdamW, Optimizer, ParamsAdamW, Sequential, VarBuilder, VarMap, linear, loss, seq};
use robin_core::ExampleId;
use robin_data::{Dataset, DatasetName, LabelMap, Source, Split};

/// The first `n` built-in digits: images f32 `[n, 1, 28, 28]` in `[0, 1]`, labels u32 `[n]`.
pub(crate) fn digits(
    split: Split,
    n: u32,
) -> std::result::Result<(Tensor, Tensor), Box<dyn std::error::Error>> {
    let data = Dataset::load(DatasetName::Mnist, split, &Source::Embedded)?;
    let batch = data.batch(&(0..n).map(ExampleId::first).collect::<Vec<_>>(), &LabelMap::Identity)?;
    let labels = Tensor::from_slice(&batch.labels, batch.labels.len(), &Device::Cpu)?;
    Ok((batch.images, labels))
}

/// Two layers, trained for a few seconds.
pub(crate) fn trained(images: &Tensor, labels: &Tensor) -> Result<Sequential> {
    let variables = VarMap::new();
    let builder = VarBuilder::from_varmap(&variables, DType::F32, images.device());
    let network = seq()
        .add_fn(|x| x.flatten_from(1))
        .add(linear(784, 32, builder.pp("hidden"))?)
        .add_fn(Tensor::relu)
        .add(linear(32, 10, builder.pp("scores"))?);
    let settings = ParamsAdamW { lr: 0.01, ..ParamsAdamW::default() };
    let mut optimiser = AdamW::new(variables.all_vars(), settings)?;
    for _ in 0..40 {
        optimiser.backward_step(&loss::cross_entropy(&network.forward(images)?, labels)?)?;
    }
    Ok(network)
}
