//! ResNet-50 (He et al. 2016a) for CIFAR images, as in `kuangliu/pytorch-cifar` and `MadryLab/robustness`: the stem
//! of our ResNet-18, and bottleneck blocks whose 3x3 convolution has the stride.

use robin_nn::GraphBuilder;

use crate::Entry;
use crate::resnet::{Place, conv, stages};

pub(crate) const ENTRY: Entry = Entry {
    name: "resnet50",
    summary: "ResNet-50 for CIFAR images: 3x3 stem, 3-4-6-3 bottleneck blocks",
    default_width: 64,
    width_step: 1,
    layers,
};

/// Channels that a block gives for one of its stage.
const EXPANSION: usize = 4;

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    body(conv(graph, "conv1", width, 3, 1).batch_norm2d("bn1").relu(), width, num_classes)
}

/// All that comes after the stem.
pub(crate) fn body(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let graph = stages(graph, width, [3, 4, 6, 3], EXPANSION, bottleneck);
    graph.global_avg_pool2d().flatten().linear("linear", num_classes)
}

fn bottleneck(graph: GraphBuilder, place: &Place) -> GraphBuilder {
    let name = |part: &str| format!("{}{part}", place.prefix);
    let (input, channels, outputs) = (graph.here(), place.channels, EXPANSION * place.channels);
    let graph = conv(graph, &name("conv1"), channels, 1, 1).batch_norm2d(&name("bn1")).relu();
    let graph = conv(graph, &name("conv2"), channels, 3, place.stride).batch_norm2d(&name("bn2")).relu();
    let graph = conv(graph, &name("conv3"), outputs, 1, 1).batch_norm2d(&name("bn3"));
    if place.stride == 1 && place.inputs == outputs {
        return graph.add(input).relu();
    }
    let residual = graph.here();
    let graph = conv(graph.at(input), &name("shortcut.0"), outputs, 1, place.stride);
    graph.batch_norm2d(&name("shortcut.1")).add(residual).relu()
}
