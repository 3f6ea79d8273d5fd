//! WideResNet-28-10 (Zagoruyko and Komodakis 2016) as in `yaodongyu/TRADES`, at depth 28, without dropout and with
//! its initialisation. The width here is that of the first convolution; the stages are 10, 20 and 40 times as
//! wide.
//!
//! TRADES' class also owns a stage `sub_block1` that its forward pass never uses; it is not part of ours.

use robin_nn::{GraphBuilder, Initialisation};

use crate::Entry;
use crate::resnet::{Place, conv};

pub(crate) const ENTRY: Entry = Entry {
    name: "wide-resnet-28-10",
    summary: "WideResNet-28-10 of TRADES: 3x3 stem, 4-4-4 pre-activation blocks, 10 times as wide",
    default_width: 16,
    width_step: 1,
    layers,
};

/// Blocks of each stage: (depth 28 - 4) / 6.
const BLOCKS: usize = 4;

/// Channels of the first stage for one of the first convolution.
const WIDEN: usize = 10;

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    let graph = graph.initialisation(Initialisation::HeFanOut);
    let mut graph = conv(graph, "conv1", width, 3, 1);
    let mut inputs = width;
    for stage in 0..3 {
        let channels = (WIDEN * width) << stage;
        for number in 0..BLOCKS {
            let stride = if stage > 0 && number == 0 { 2 } else { 1 };
            let prefix = format!("block{}.layer.{number}.", stage + 1);
            graph = block(graph, &Place { prefix, inputs, channels, stride });
            inputs = channels;
        }
    }
    graph.batch_norm2d("bn1").relu().global_avg_pool2d().flatten().linear("fc", num_classes)
}

fn block(graph: GraphBuilder, place: &Place) -> GraphBuilder {
    let name = |part: &str| format!("{}{part}", place.prefix);
    let (input, channels) = (graph.here(), place.channels);
    let graph = graph.batch_norm2d(&name("bn1")).relu();
    let active = graph.here();
    let graph = conv(graph, &name("conv1"), channels, 3, place.stride).batch_norm2d(&name("bn2")).relu();
    let graph = conv(graph, &name("conv2"), channels, 3, 1);
    if place.inputs == channels {
        return graph.add(input);
    }
    let residual = graph.here();
    conv(graph.at(active), &name("convShortcut"), channels, 1, place.stride).add(residual)
}
