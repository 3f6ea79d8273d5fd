//! Graphs by hand, each for what an executor may get wrong.

use robin_nn::graph::Point;
use robin_nn::{Graph, GraphBuilder};

use super::{CLASSES, conv, finish, same};

fn begin(name: &str, input: [usize; 3]) -> GraphBuilder {
    Graph::builder(name, input)
}

/// What is done to the images themselves.
pub fn at_the_images() -> Vec<Graph> {
    let sides = [3, 7, 6];
    let two_readers = |graph: GraphBuilder| {
        let images = graph.here();
        let graph = graph.conv2d("narrow", same(5));
        let narrow = graph.here();
        graph.at(images).conv2d("wide", conv(5, [5, 1, 2])).add(narrow).relu()
    };
    let beside_linear = begin("linear-beside-conv", sides);
    let images = beside_linear.here();
    let beside_linear = beside_linear.conv2d("conv", same(4)).relu().flatten().linear("a", 6);
    let a = beside_linear.here();
    let beside_linear = beside_linear.at(images).flatten().linear("b", 6).add(a).relu();

    let shortcut = begin("shortcut-from-images", sides).normalize("normalize");
    let normalized = shortcut.here();
    let shortcut = shortcut.conv2d("conv", same(3)).batch_norm2d("bn").add(normalized).relu();

    let twice = begin("normalized-twice", sides);
    let images = twice.here();
    let twice = twice.normalize("one").conv2d("a", same(4));
    let a = twice.here();
    let twice = twice.at(images).normalize("two").conv2d("b", same(4)).add(a).relu();
    vec![
        finish(begin("relu-first", sides).normalize("normalize").relu()),
        finish(begin("norm-first", sides).batch_norm2d("bn").relu().conv2d("conv", same(4))),
        finish(begin("pool-first", sides).max_pool2d(2).conv2d("conv", same(4))),
        finish(begin("avg-pool-first", [3, 4, 6]).avg_pool2d(2).conv2d("conv", same(4))),
        finish(begin("linear-first", sides).normalize("normalize")),
        finish(two_readers(begin("two-convs-first", sides).normalize("normalize"))),
        finish(two_readers(begin("two-convs-of-whole-vectors", [16, 7, 6]))),
        beside_linear.linear("fc", CLASSES).build().unwrap(),
        finish(shortcut),
        finish(twice),
        finish(begin("two-normalizations", sides).normalize("one").normalize("two").conv2d("conv", same(4))),
        finish(begin("strided-whole-vectors", [16, 8, 8]).conv2d("conv", conv(5, [4, 2, 1])).relu()),
        finish(begin("one-pixel", [5, 1, 1]).conv2d("conv", conv(4, [1, 1, 0])).batch_norm2d("bn").relu()),
        finish(begin("pooled-conv-first", [3, 8, 8]).conv2d("conv", same(4)).relu().max_pool2d(2)),
    ]
}

/// Layers in an order, or of a size, that no model has.
pub fn odd_sequences() -> Vec<Graph> {
    let stem = |name: &str, input| begin(name, input).normalize("normalize").conv2d("stem", same(5)).relu();
    let (sides, square) = ([2, 9, 6], [2, 10, 10]);
    vec![
        finish(stem("stride-3", square).conv2d("conv", conv(4, [4, 3, 1])).relu().conv2d("last", same(3))),
        finish(stem("stride-beyond-kernel", square).conv2d("conv", conv(4, [2, 3, 1])).relu()),
        finish(stem("padding-beyond-kernel", square).conv2d("conv", conv(4, [1, 2, 1])).relu()),
        finish(stem("much-padding", sides).conv2d("conv", conv(4, [5, 1, 4])).relu().conv2d("last", same(3))),
        finish(stem("whole-image", [2, 5, 5]).conv2d("conv", conv(4, [5, 1, 0])).relu()),
        finish(stem("avg-pool-conv", [2, 6, 9]).avg_pool2d(3).relu().conv2d("conv", same(4))),
        finish(stem("pool-3", sides).conv2d("conv", same(4)).relu().max_pool2d(3).conv2d("last", same(3))),
        finish(stem("pool-bare", sides).conv2d("conv", same(4)).max_pool2d(2).relu().conv2d("last", same(3))),
        finish(stem("pool-odd", [2, 7, 9]).conv2d("conv", same(4)).relu().max_pool2d(2).relu()),
        finish(stem("pool-twice", sides).conv2d("a", same(4)).relu().max_pool2d(2).max_pool2d(2)),
        finish(stem("pool-lapped", sides).conv2d("a", same(20)).relu().max_pool2d_with(3, 2, 1)),
        finish(
            stem("pool-step-1", sides).max_pool2d_with(3, 1, 1).conv2d("a", same(4)).batch_norm2d("b").relu(),
        ),
        finish(
            begin("imagenet-stem", [3, 18, 18])
                .conv2d("a", conv(5, [7, 2, 3]))
                .batch_norm2d("b")
                .relu()
                .max_pool2d_with(3, 2, 1),
        ),
        finish(stem("pool-gaps", [2, 8, 9]).max_pool2d_with(2, 3, 0).conv2d("a", same(4)).relu()),
        finish(stem("pool-half", [2, 6, 6]).conv2d("a", same(4)).relu().max_pool2d_with(2, 2, 1)),
        finish(stem("pool-to-one", [2, 2, 2]).conv2d("a", same(4)).relu().max_pool2d(2)),
        finish(
            stem("global-max-pool", square).conv2d("conv", same(4)).batch_norm2d("bn").global_max_pool2d(),
        ),
        finish(stem("two-norms", sides).conv2d("a", same(4)).batch_norm2d("b").batch_norm2d("c").relu()),
        finish(stem("normalize-late", sides).normalize("late").relu().conv2d("conv", same(4)).relu().relu()),
        finish(stem("wide", [2, 6, 6]).conv2d("a", same(20)).batch_norm2d("b").relu().max_pool2d(2)),
        finish(
            begin("pool-of-pool", [2, 12, 12])
                .conv2d("a", same(20))
                .relu()
                .conv2d("b", same(4))
                .relu()
                .max_pool2d(2)
                .max_pool2d(3),
        ),
        stem("relu-flat", sides).max_pool2d(3).flatten().relu().linear("fc", CLASSES).build().unwrap(),
        stem("linears", sides).flatten().linear("a", 20).relu().linear("fc", CLASSES).build().unwrap(),
    ]
}

/// Values that several layers read.
pub fn branches() -> Vec<Graph> {
    let stem = |name: &str| begin(name, [2, 6, 8]).normalize("normalize").conv2d("stem", same(4)).relu();
    let doubled = stem("doubled");
    let x = doubled.here();
    let doubled = doubled.add(x);

    let doubled_norm = begin("doubled-norm", [2, 6, 8]).conv2d("stem", same(4)).batch_norm2d("bn");
    let x = doubled_norm.here();
    let doubled_norm = doubled_norm.add(x).relu();

    let images_doubled = begin("images-doubled", [2, 6, 8]);
    let x = images_doubled.here();
    let images_doubled = images_doubled.add(x).conv2d("conv", same(4)).relu();

    // Read by a rectifier, a pooling, and a sum.
    let three = begin("three-readers", [2, 6, 8]).conv2d("stem", same(4));
    let x = three.here();
    let three = three.relu().conv2d("a", same(4)).relu();
    let a = three.here();
    let three = three.at(x).add(a).relu().max_pool2d(2);
    let b = three.here();
    let three = three.at(x).max_pool2d(2).add(b).conv2d("last", same(3)).relu();

    // The pooling may not take the rectifier along, which another layer reads.
    let kept = stem("rectifier-read-twice").conv2d("conv", same(4)).relu();
    let x = kept.here();
    let kept = kept.max_pool2d(2);
    let pooled = kept.here();
    let kept = kept.at(x).conv2d("down", conv(4, [1, 1, 0])).max_pool2d(2).add(pooled);

    // Sums of sums, whose gradients share a buffer for a while.
    let chain = stem("sums-of-sums");
    let a = chain.here();
    let chain = chain.conv2d("b", same(4)).add(a);
    let b = chain.here();
    let chain = chain.conv2d("c", same(4)).batch_norm2d("bn").add(a);
    let c = chain.here();
    let chain = chain.add(b).relu().add(c).add(a).relu();

    // A flattened image and a linear layer's output are equally long, and lie otherwise.
    let flat = stem("flat-plus-linear").max_pool2d(2).flatten();
    let x = flat.here();
    let flat = flat.linear("a", 48).relu().add(x).relu();

    // The same for two images of other shapes.
    let shapes = stem("flat-plus-flat").conv2d("a", conv(2, [1, 1, 0])).flatten();
    let x = shapes.here();
    let shapes = shapes.at(Point::IMAGES).flatten().add(x).linear("b", 4);

    // Before activation, with a projection that reads what the first norm made.
    let preact = stem("pre-activation").batch_norm2d("bn1").relu();
    let x = preact.here();
    let preact = preact.at(x).conv2d("shortcut", conv(6, [1, 1, 0]));
    let shortcut = preact.here();
    let preact = preact.at(x).conv2d("conv1", same(6)).batch_norm2d("bn2").relu();
    let preact = preact.conv2d("conv2", same(6)).add(shortcut).batch_norm2d("bn3").relu();
    vec![
        finish(doubled),
        finish(doubled_norm),
        finish(images_doubled),
        finish(three),
        finish(kept),
        finish(chain),
        flat.linear("fc", CLASSES).build().unwrap(),
        shapes.linear("fc", CLASSES).build().unwrap(),
        finish(preact),
    ]
}
