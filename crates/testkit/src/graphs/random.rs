//! Graphs that nobody thought of.

use robin_core::{Purpose, Seed};
use robin_nn::graph::Point;
use robin_nn::{Graph, GraphBuilder};

use super::{CLASSES, conv, same};

/// Layers drawn at random, each reading any point before; what nobody reads goes into the sum that ends it.
pub fn random(draw: u64) -> Graph {
    let mut stream = Seed::new(8).derive(Purpose::Test, draw).root_stream();
    let mut below = |count: usize| (stream.uniform() * count as f32) as usize % count;
    let mut graph = Graph::builder(format!("random-{draw}"), [2, 6, 6]);
    // Each with its channels and side: images stay square.
    let mut points = vec![(Point::IMAGES, [2_usize, 6_usize])];
    let mut unread = Vec::new();
    for layer in 0..9 {
        let (from, [channels, side]) = points[below(points.len())];
        let alike: Vec<Point> =
            points.iter().filter(|(_, shape)| *shape == [channels, side]).map(|(point, _)| *point).collect();
        unread.retain(|point| *point != from);
        graph = graph.at(from);
        let shape;
        (graph, shape) = match below(7) {
            0 | 1 => (graph.conv2d(&format!("conv{layer}"), same(4)), [4, side]),
            2 if side > 2 => {
                (graph.conv2d(&format!("conv{layer}"), conv(5, [3, 2, 1])), [5, side.div_ceil(2)])
            }
            3 if side > 2 => (graph.max_pool2d(2), [channels, side / 2]),
            4 => (graph.batch_norm2d(&format!("bn{layer}")), [channels, side]),
            5 => {
                let other = alike[below(alike.len())];
                unread.retain(|point| *point != other);
                (graph.add(other), [channels, side])
            }
            _ => (graph.relu(), [channels, side]),
        };
        points.push((graph.here(), shape));
        unread.push(graph.here());
    }
    let mut sum: Option<Point> = None;
    for (number, point) in unread.into_iter().enumerate() {
        graph = graph.at(point).flatten().linear(&format!("end{number}"), 4);
        graph = sum.into_iter().fold(graph, GraphBuilder::add);
        sum = Some(graph.here());
    }
    graph.relu().linear("fc", CLASSES).build().unwrap()
}
