//! A small network of candle's layers, and images for it.

#![allow(dead_code, reason = "each test takes what it needs")]

use robin::candle::{DType, Device, Module, Result, Tensor};
use robin::candle_nn::{self, Conv2d, Conv2dConfig, Linear, Sequential};
use robin_core::Seed;

pub(crate) const SHAPE: [usize; 3] = [3, 6, 6];
pub(crate) const CLASSES: usize = 5;

/// A convolution and a linear layer with a smooth function between.
pub(crate) struct Network {
    convolution: Conv2d,
    linear: Linear,
}

impl Module for Network {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let hidden = self.convolution.forward(images)?.tanh()?;
        rows(&hidden.flatten_from(1)?, &self.linear)
    }
}

/// One image at a time: candle's product may sum in another order in a larger batch, and then no batch size is like another.
fn rows(hidden: &Tensor, linear: &Linear) -> Result<Tensor> {
    let row = |row: usize| linear.forward(&hidden.narrow(0, row, 1)?.contiguous()?);
    Tensor::cat(&(0..hidden.dims()[0]).map(row).collect::<Result<Vec<_>>>()?, 0)
}

pub(crate) fn network() -> Network {
    let [channels, height, width] = SHAPE;
    let mut stream = Seed::new(3).root_stream();
    let mut draw = |scale: f64, shape: &[usize]| {
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| (scale * stream.gaussian()) as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let kernel = draw(0.6, &[4, channels, 3, 3]);
    let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
    let linear = Linear::new(draw(0.4, &[CLASSES, 4 * height * width]), Some(draw(0.1, &[CLASSES])));
    Network { convolution: Conv2d::new(kernel, None, config), linear }
}

/// The same as a function.
pub(crate) fn forward() -> impl Fn(&Tensor) -> Result<Tensor> + Send + Sync {
    |images: &Tensor| network().forward(images)
}

/// The same as candle's own container, which is not `Sync`.
pub(crate) fn sequential() -> Sequential {
    let Network { convolution, linear } = network();
    candle_nn::seq().add(convolution).add_fn(|x| x.tanh()?.flatten_from(1)).add_fn(move |x| rows(x, &linear))
}

/// `n` images of bytes, and labels that the network gives to most of them.
pub(crate) fn images(n: usize) -> (Tensor, Vec<u32>) {
    let [channels, height, width] = SHAPE;
    let mut stream = Seed::new(8).root_stream();
    let count = n * channels * height * width;
    let values: Vec<f32> = (0..count).map(|_| stream.below(256) as f32 / 255.0).collect();
    let images = Tensor::from_vec(values, (n, channels, height, width), &Device::Cpu).unwrap();
    let logits = network().forward(&images).unwrap().to_dtype(DType::F32).unwrap();
    let mut labels: Vec<u32> = logits.argmax(1).unwrap().to_vec1().unwrap();
    // Every sixth is wrong when clean.
    labels.iter_mut().skip(5).step_by(6).for_each(|label| *label = (*label + 1) % CLASSES as u32);
    (images, labels)
}
