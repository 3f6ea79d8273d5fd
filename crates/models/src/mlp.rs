//! Two hidden layers of equal width on flattened images: for points in the plane (the paper's Figure 2), which are
//! images of two pixels.

use robin_nn::GraphBuilder;

use crate::Entry;

pub(crate) const ENTRY: Entry = Entry {
    name: "mlp",
    summary: "two hidden layers of equal width, for points in the plane: linear 64, linear 64, linear",
    default_width: 64,
    width_step: 1,
    layers,
};

fn layers(graph: GraphBuilder, width: usize, num_classes: usize) -> GraphBuilder {
    graph.flatten().linear("fc1", width).relu().linear("fc2", width).relu().linear("fc3", num_classes)
}
