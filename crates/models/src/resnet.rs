//! What residual networks share: convolutions without bias, named after their place.

use robin_nn::{Bias, Convolution, GraphBuilder};

/// A convolution without bias that keeps the side at stride 1; its kernel is 1 or 3.
pub(crate) fn conv(
    graph: GraphBuilder,
    name: &str,
    channels: usize,
    kernel: usize,
    stride: usize,
) -> GraphBuilder {
    graph.conv2d(name, Convolution { channels, kernel, stride, padding: kernel / 2, bias: Bias::None })
}

/// Where a block stands.
pub(crate) struct Place {
    /// Prefix of its names, with the dot at the end.
    pub(crate) prefix: String,
    /// Channels that come in.
    pub(crate) inputs: usize,
    /// Channels of the stage.
    pub(crate) channels: usize,
    /// Step of the block.
    pub(crate) stride: usize,
}

/// Adds the four stages `layer1` to `layer4` of CIFAR's ResNets: `blocks[s]` blocks each, channels doubled and
/// sides halved from stage to stage. A block gives `expansion` times its stage's channels.
pub(crate) fn stages(
    mut graph: GraphBuilder,
    width: usize,
    blocks: [usize; 4],
    expansion: usize,
    block: fn(GraphBuilder, &Place) -> GraphBuilder,
) -> GraphBuilder {
    let mut inputs = width;
    for (stage, count) in blocks.into_iter().enumerate() {
        let channels = width << stage;
        for number in 0..count {
            let stride = if stage > 0 && number == 0 { 2 } else { 1 };
            let prefix = format!("layer{}.{number}.", stage + 1);
            graph = block(graph, &Place { prefix, inputs, channels, stride });
            inputs = expansion * channels;
        }
    }
    graph
}
