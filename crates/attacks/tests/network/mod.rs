//! `cnn2-small` in candle's operations, with candle's autograd as its backward pass.

use candle_core::Tensor;
use robin_core::{Classifier, Columns, Result, Scores};
use robin_testkit::Golden;

/// With the weights `weights.NAME` of a golden file.
pub(crate) struct Network(pub(crate) Golden);

impl Network {
    fn layer(&self, name: &str) -> (Tensor, Tensor) {
        let weight = self.0.tensor(&format!("weights.{name}.weight"));
        (weight, self.0.tensor(&format!("weights.{name}.bias")))
    }

    fn convolution(&self, name: &str, x: &Tensor) -> candle_core::Result<Tensor> {
        let (weight, bias) = self.layer(name);
        x.conv2d(&weight, 1, 2, 1, 1)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?.relu()
    }

    fn linear(&self, name: &str, x: &Tensor) -> candle_core::Result<Tensor> {
        let (weight, bias) = self.layer(name);
        x.matmul(&weight.t()?)?.broadcast_add(&bias)
    }
}

impl Classifier for Network {
    fn num_classes(&self) -> usize {
        10
    }

    fn scores(&self, images: &Tensor, _columns: &Columns) -> Result<Scores> {
        let x = self.convolution("conv2", &self.convolution("conv1", images)?)?.flatten_from(1)?;
        Scores::new(self.linear("fc2", &self.linear("fc1", &x)?.relu()?)?)
    }
}
