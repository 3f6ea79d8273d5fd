//! The Myrtle network (Page 2018, "How to train your ResNet", as `make_cnn` of Nakkiran et al. 2020): four 3x3
//! convolutions with batch norm. The original pools over 4x4 at the end, which is all that 32x32 images leave.
//!
//! The original is a sequence without names; ours are `conv1`, `bn1` ... `conv4`, `bn4`, `linear`. Convolutions
//! have a bias as in `make_cnn` (Page's have none).

use robin_nn::{Bias, Convolution, GraphBuilder};

use crate::Entry;

pub(crate) const ENTRY: Entry = Entry {
    name: "myrtle",
    summary: "Page's small CIFAR-10 network: 4 convolutions with batch norm, max pooling, linear",
    default_width: 64,
    width_step: 1,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let unit = |graph: GraphBuilder, number: usize| {
        let channels = width << (number - 1);
        let same = Convolution { channels, kernel: 3, stride: 1, padding: 1, bias: Bias::Learned };
        graph.conv2d(&format!("conv{number}"), same).batch_norm2d(&format!("bn{number}")).relu()
    };
    let graph = unit(graph, 1);
    let graph = (2..=4).fold(graph, |graph, number| unit(graph, number).max_pool2d(2));
    graph.global_max_pool2d().flatten().linear("linear", num_classes)
}
