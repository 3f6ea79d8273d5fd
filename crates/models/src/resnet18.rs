//! ResNet-18 (He et al. 2016a) for CIFAR images, as in `kuangliu/pytorch-cifar` and the code of TRADES and MART: a
//! 3x3 stem of stride 1, no pooling after it, and batch norm in the shortcuts.

use robin_nn::GraphBuilder;

use crate::Entry;
use crate::resnet::{Place, conv, stages};

pub(crate) const ENTRY: Entry = Entry {
    name: "resnet18",
    summary: "ResNet-18 for CIFAR images: 3x3 stem, 2-2-2-2 basic blocks",
    default_width: 64,
    width_step: 1,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    body(conv(graph, "conv1", width, 3, 1).batch_norm2d("bn1").relu(), width, num_classes)
}

/// All that comes after the stem.
pub(crate) fn body(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let graph = stages(graph, width, [2, 2, 2, 2], 1, basic);
    graph.global_avg_pool2d().flatten().linear("linear", num_classes)
}

fn basic(graph: GraphBuilder, place: &Place) -> GraphBuilder {
    let name = |part: &str| format!("{}{part}", place.prefix);
    let (input, channels) = (graph.here(), place.channels);
    let graph = conv(graph, &name("conv1"), channels, 3, place.stride).batch_norm2d(&name("bn1")).relu();
    let graph = conv(graph, &name("conv2"), channels, 3, 1).batch_norm2d(&name("bn2"));
    if place.stride == 1 && place.inputs == channels {
        return graph.add(input).relu();
    }
    let residual = graph.here();
    let graph = conv(graph.at(input), &name("shortcut.0"), channels, 1, place.stride);
    graph.batch_norm2d(&name("shortcut.1")).add(residual).relu()
}
