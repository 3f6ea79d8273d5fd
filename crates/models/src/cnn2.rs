//! Madry's MNIST network (Madry et al. 2018, `MadryLab/mnist_challenge`): two 5x5 convolutions with max
//! pooling and one hidden layer. The paper says only "2-layer CNN, CNN-2"; this is the likeliest reading.

use robin_nn::{Bias, Convolution, GraphBuilder};

use crate::Entry;

pub(crate) const ENTRY: Entry = Entry {
    name: "cnn2",
    summary: "Madry's MNIST network: conv 5x5, pool, conv 5x5, pool, linear 1024, linear",
    default_width: 32,
    width_step: 1,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let same = |channels| Convolution { channels, kernel: 5, stride: 1, padding: 2, bias: Bias::Learned };
    graph
        .conv2d("conv1", same(width))
        .relu()
        .max_pool2d(2)
        .conv2d("conv2", same(2 * width))
        .relu()
        .max_pool2d(2)
        .flatten()
        .linear("fc1", 32 * width)
        .relu()
        .linear("fc2", num_classes)
}
