//! Pre-activation ResNet-18 (He et al. 2016b) as in `locuslab/robust_overfitting` (Rice et al. 2020), whose logs
//! and weights are published: batch norm and rectifier before each convolution, shortcuts without batch norm that
//! read the activated input, and a last batch norm and rectifier before the pooling.

use robin_nn::GraphBuilder;

use crate::Entry;
use crate::resnet::{Place, conv, stages};

pub(crate) const ENTRY: Entry = Entry {
    name: "preact-resnet18",
    summary: "Pre-activation ResNet-18 of Rice et al. 2020: 3x3 stem, 2-2-2-2 blocks",
    default_width: 64,
    width_step: 1,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let graph = stages(conv(graph, "conv1", width, 3, 1), width, [2, 2, 2, 2], 1, block);
    graph.batch_norm2d("bn").relu().global_avg_pool2d().flatten().linear("linear", num_classes)
}

fn block(graph: GraphBuilder, place: &Place) -> GraphBuilder {
    let name = |part: &str| format!("{}{part}", place.prefix);
    let (input, channels) = (graph.here(), place.channels);
    let graph = graph.batch_norm2d(&name("bn1")).relu();
    let active = graph.here();
    let graph = conv(graph, &name("conv1"), channels, 3, place.stride).batch_norm2d(&name("bn2")).relu();
    let graph = conv(graph, &name("conv2"), channels, 3, 1);
    if place.stride == 1 && place.inputs == channels {
        return graph.add(input);
    }
    let residual = graph.here();
    conv(graph.at(active), &name("shortcut.0"), channels, 1, place.stride).add(residual)
}
