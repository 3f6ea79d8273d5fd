//! Shapes, names and faults of graphs.

use super::*;

const SAME_5X5: Convolution =
    Convolution { channels: 4, kernel: 5, stride: 1, padding: 2, bias: Bias::Learned };

#[test]
fn shapes_flow_and_tensors_are_named_as_in_pytorch() {
    let graph = Graph::builder("toy", [1, 8, 6])
        .normalize("normalize")
        .conv2d("conv1", SAME_5X5)
        .relu()
        .max_pool2d(2)
        .flatten()
        .linear("fc", 3)
        .build()
        .unwrap();
    assert_eq!(graph.num_outputs(), 3);
    assert_eq!(graph.multiply_adds(), 8 * 6 * 4 * 25 + 48 * 3);
    let names: Vec<_> = graph.tensors().into_iter().map(|t| (t.name, t.shape)).collect();
    let expected: [(&str, &[usize]); 6] = [
        ("normalize.mean", &[1]),
        ("normalize.std", &[1]),
        ("conv1.weight", &[4, 1, 5, 5]),
        ("conv1.bias", &[4]),
        ("fc.weight", &[3, 48]),
        ("fc.bias", &[3]),
    ];
    assert_eq!(names, expected.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
}

#[test]
fn the_first_misfit_is_named() {
    let message = |builder: GraphBuilder| builder.build().unwrap_err().to_string();
    let toy = || Graph::builder("toy", [1, 4, 4]);
    let narrow = Convolution { channels: 2, kernel: 7, stride: 1, padding: 1, bias: Bias::Learned };
    assert!(message(toy().conv2d("conv1", narrow).flatten().linear("fc", 2)).contains("conv1"));
    assert!(message(toy().linear("fc", 2)).contains("flattened"));
    assert!(message(toy().flatten().max_pool2d(2).linear("fc", 2)).contains("max_pool2d"));
    assert!(message(toy().max_pool2d(5).flatten().linear("fc", 2)).contains("window 5"));
    assert!(message(toy().flatten().linear("fc", 0)).contains("0 outputs"));
    assert!(message(toy().relu()).contains("ends in a linear layer"));
}

const SAME_3X3: Convolution = Convolution { channels: 4, kernel: 3, stride: 1, padding: 1, bias: Bias::None };

fn residual(initialisation: Initialisation) -> GraphBuilder {
    let graph = Graph::builder("toy", [4, 6, 6]).initialisation(initialisation);
    let shortcut = graph.here();
    let graph = graph.conv2d("conv", SAME_3X3).batch_norm2d("bn").relu().add(shortcut);
    graph.avg_pool2d(6).flatten().linear("fc", 2)
}

#[test]
fn branches_are_joined_where_they_were_left() {
    let graph = residual(Initialisation::PyTorch).build().unwrap();
    let add = &graph.nodes()[3];
    assert_eq!(add, &Node { layer: Layer::Add, inputs: vec![Point::of(2), Point::IMAGES] });
    assert_eq!((graph.output(), graph.output().node()), (Point::of(6), Some(6)));
    assert_eq!(graph.shape(Point::IMAGES), [4, 6, 6]);
    assert_eq!(graph.shape(Point::of(4)), [4, 1, 1]);
    assert_eq!(graph.shape(graph.output()), [2]);
    assert_eq!(Point::IMAGES.node(), None);
}

#[test]
fn batch_norm_has_pytorchs_tensors_and_each_initialisation_its_values() {
    let initial = |initialisation| -> Vec<(String, Initial)> {
        let graph = residual(initialisation).build().unwrap();
        graph.tensors().into_iter().map(|t| (t.name, t.initial)).collect()
    };
    let expected = |conv, bias| {
        [
            ("conv.weight", conv),
            ("bn.weight", Initial::Constant(1.0)),
            ("bn.bias", Initial::Constant(0.0)),
            ("bn.running_mean", Initial::Buffer(0.0)),
            ("bn.running_var", Initial::Buffer(1.0)),
            ("fc.weight", Initial::Uniform { fan_in: 4 }),
            ("fc.bias", bias),
        ]
        .map(|(name, initial)| (name.to_owned(), initial))
    };
    let uniform = |fan_in| Initial::Uniform { fan_in };
    assert_eq!(initial(Initialisation::PyTorch), expected(uniform(36), uniform(4)));
    let std = (2.0_f32 / 36.0).sqrt();
    assert_eq!(initial(Initialisation::HeFanOut), expected(Initial::Normal { std }, Initial::Constant(0.0)));
}

#[test]
fn what_cannot_be_joined_or_is_never_read_is_named() {
    let message = |builder: GraphBuilder| builder.build().unwrap_err().to_string();
    let toy = || Graph::builder("toy", [2, 4, 4]);
    let end = |graph: GraphBuilder| graph.flatten().linear("fc", 2);
    let unequal = message(end(toy().conv2d("conv1", SAME_3X3).add(Point::IMAGES)));
    assert!(unequal.contains("add") && unequal.contains("[4, 4, 4]") && unequal.contains("[2, 4, 4]"));
    assert!(message(end(toy().add(Point::of(3)))).contains("no such point"));
    assert!(message(end(toy().at(Point::of(0)))).contains("no such point"));
    let dead = message(end(toy().conv2d("conv1", SAME_3X3).at(Point::IMAGES)));
    assert!(dead.contains("conv1") && dead.contains("nothing reads"), "{dead}");
    let twice = message(end(toy().batch_norm2d("bn").relu().batch_norm2d("bn")));
    assert!(twice.contains("bn") && twice.contains("another layer"), "{twice}");
    assert!(message(end(toy().avg_pool2d(3))).contains("window 3 does not divide"));
}
