//! The small MNIST network of Wong and Kolter 2018 (also in `locuslab/fast_adversarial`): two strided 4x4
//! convolutions and one hidden layer.

use robin_nn::{Bias, Convolution, GraphBuilder};

use crate::Entry;

pub(crate) const ENTRY: Entry = Entry {
    name: "cnn2-small",
    summary: "Wong and Kolter's MNIST network: conv 4x4 / 2, conv 4x4 / 2, linear 100, linear",
    default_width: 16,
    // 100 hidden units at width 16 are 25 for every 4 channels.
    width_step: 4,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let halving = |channels| Convolution { channels, kernel: 4, stride: 2, padding: 1, bias: Bias::Learned };
    graph
        .conv2d("conv1", halving(width))
        .relu()
        .conv2d("conv2", halving(2 * width))
        .relu()
        .flatten()
        .linear("fc1", 25 * width / 4)
        .relu()
        .linear("fc2", num_classes)
}
