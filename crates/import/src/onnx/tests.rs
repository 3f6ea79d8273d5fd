//! Models that are hostile, or out of the ordinary, made by hand.

use robin_nn::graph::{Layer, Rounding};

use super::proto::{
    Attribute, Dimension, Entry, Graph, Model as Proto, Node, OperatorSet, Shape, Tensor, TensorType, Type,
    ValueInfo,
};
use super::*;

fn node(operator: &str, inputs: &[&str], output: &str) -> Node {
    Node {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: format!("node of {output}"),
        op_type: operator.to_owned(),
        ..Node::default()
    }
}

fn ints(name: &str, ints: &[i64]) -> Attribute {
    Attribute { name: name.to_owned(), ints: ints.to_vec(), ..Attribute::default() }
}

fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.to_owned(), i: Some(i), ..Attribute::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> Tensor {
    let (name, dims, float_data) = (name.to_owned(), dims.to_vec(), values.to_vec());
    Tensor { name, dims, data_type: 1, float_data, ..Tensor::default() }
}

fn value(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = |&dim: &i64| Dimension { dim_value: (dim > 0).then_some(dim), dim_param: None };
    let shape = Shape { dim: dims.iter().map(dim).collect() };
    let tensor_type = Some(TensorType { elem_type: 1, shape: Some(shape) });
    ValueInfo { name: name.to_owned(), r#type: Some(Type { tensor_type }) }
}

/// A model of `nodes` from `x` (two channels, 4 x 4) to `y`.
fn proto(node: Vec<Node>, initializer: Vec<Tensor>) -> Proto {
    let graph = Graph {
        node,
        name: "by hand".to_owned(),
        initializer,
        input: vec![value("x", &[0, 2, 4, 4])],
        output: vec![value("y", &[])],
    };
    let opset_import = vec![OperatorSet { domain: String::new(), version: 13 }];
    Proto { graph: Some(graph), opset_import }
}

fn parse(proto: &Proto) -> Result<Model> {
    Model::parse(proto.encode_to_vec(), "net.onnx", None)
}

fn network(nodes: Vec<Node>, initializers: Vec<Tensor>) -> Result<Network> {
    parse(&proto(nodes, initializers))?.network(None, None)
}

fn message(nodes: Vec<Node>, initializers: Vec<Tensor>) -> String {
    network(nodes, initializers).unwrap_err().to_string()
}

/// Flattening, and a matrix to three classes.
fn head(from: &str, features: i64) -> (Vec<Node>, Tensor) {
    let weights: Vec<f32> = (0..features * 3).map(|at| at as f32 / 8.0).collect();
    let nodes = vec![node("Flatten", &[from], "flat"), node("MatMul", &["flat", "w"], "y")];
    (nodes, floats("w", &[features, 3], &weights))
}

fn with_head(mut nodes: Vec<Node>, features: i64, mut initializers: Vec<Tensor>) -> Result<Network> {
    let last = nodes.last().map_or("x".to_owned(), |node| node.output[0].clone());
    let (head, weights) = head(&last, features);
    nodes.extend(head);
    initializers.push(weights);
    network(nodes, initializers)
}

#[test]
fn unknown_operators_are_refused_by_node_and_name() {
    for (operator, hint) in [("Softmax", "without it"), ("LSTM", "no executor"), ("Sigmoid", "without it")] {
        let message = message(vec![node(operator, &["x"], "y")], Vec::new());
        assert!(
            message.contains(&format!("\"node of y\" ({operator})")) && message.contains(hint),
            "{message}"
        );
    }
    let mut foreign = node("FusedConv", &["x"], "y");
    foreign.domain = "com.microsoft".to_owned();
    assert!(message(vec![foreign], Vec::new()).contains("com.microsoft"));
    let product = message(vec![node("Mul", &["x", "x"], "y")], Vec::new());
    assert!(product.contains("two values that come from the images"), "{product}");
}

#[test]
fn a_value_times_its_sigmoid_is_silu_and_rounding_is_a_layer() {
    let nodes = vec![node("Sigmoid", &["x"], "s"), node("Mul", &["s", "x"], "a"), node("Floor", &["a"], "b")];
    let graph = with_head(nodes, 32, Vec::new()).unwrap().graph;
    let layers: Vec<&Layer> = graph.nodes().iter().map(|node| &node.layer).collect();
    assert!(matches!(layers[..2], [Layer::Silu, Layer::Round(Rounding::Down)]), "{layers:?}");
    for operator in ["Mul", "Add", "Relu"] {
        let other = vec![
            node("Relu", &["x"], "r"),
            node("Sigmoid", &["x"], "s"),
            node(operator, if operator == "Relu" { &["s"] } else { &["s", "r"] }, "y"),
        ];
        let message = message(other, Vec::new());
        assert!(message.contains("x * sigmoid(x)") || message.contains("two values"), "{message}");
    }
}

#[test]
fn cycles_doubles_and_loose_ends_are_refused() {
    let cycle = vec![node("Add", &["x", "b"], "a"), node("Relu", &["a"], "b"), node("Flatten", &["b"], "y")];
    assert!(message(cycle, Vec::new()).contains("has a cycle"));
    let itself = vec![node("Add", &["x", "y"], "y")];
    assert!(message(itself, Vec::new()).contains("has a cycle"));
    let twice = vec![node("Relu", &["x"], "y"), node("Relu", &["x"], "y")];
    assert!(message(twice, Vec::new()).contains("another node"));
    assert!(message(vec![node("Relu", &["z"], "y")], Vec::new()).contains("nothing makes its input \"z\""));
    assert!(message(Vec::new(), Vec::new()).contains("no node makes its output \"y\""));
    assert!(message(vec![node("Relu", &["x"], "y")], Vec::new()).contains("one score per class"));
    // Out of order, and with a node that nothing needs, which may be anything.
    let (mut nodes, weights) = head("a", 32);
    nodes.extend([node("LSTM", &["x"], "unused"), node("Relu", &["x"], "a")]);
    assert_eq!(network(nodes, vec![weights]).unwrap().graph.num_outputs(), 3);
}

#[test]
fn long_chains_are_no_depth() {
    let name = |at: usize| if at == 0 { "x".to_owned() } else { format!("v{at}") };
    let chain = |length: usize| -> Vec<Node> {
        (0..length).map(|at| node("Identity", &[&name(at)], &name(at + 1))).collect()
    };
    assert_eq!(with_head(chain(9_000), 32, Vec::new()).unwrap().graph.nodes().len(), 2);
    let error = with_head(chain(100_000), 32, Vec::new()).unwrap_err().to_string();
    assert!(error.contains("more than 10000 nodes"), "{error}");
}

#[test]
fn huge_shapes_are_refused_before_they_cost_anything() {
    let mut huge = proto(Vec::new(), Vec::new());
    if let Some(graph) = &mut huge.graph {
        graph.input = vec![value("x", &[1, i64::MAX, i64::MAX, 7])];
    }
    let model = parse(&huge).unwrap();
    assert!(model.network(None, None).unwrap_err().to_string().contains("allowed: 1 to"));
    let claims = floats("w", &[i64::MAX, i64::MAX], &[1.0]);
    let nodes = || vec![node("Flatten", &["x"], "flat"), node("MatMul", &["flat", "w"], "y")];
    assert!(message(nodes(), vec![claims]).contains("no memory holds its shape"));
    let claims = floats("w", &[1 << 40, 3], &[1.0]);
    assert!(message(nodes(), vec![claims]).contains("its data 1"));
    // A large image out of a small file: padding, and a window of many taps.
    let mut padded = node("Conv", &["x", "k"], "c");
    padded.attribute = vec![ints("pads", &[4096; 4]), int("group", 2)];
    let kernel = floats("k", &[64, 1, 1, 1], &[1.0; 64]);
    let error = with_head(vec![padded], 1, vec![kernel]).unwrap_err().to_string();
    assert!(
        error.contains("made dense are [64, 2, 8193, 8193]") || error.contains("values of an image"),
        "{error}"
    );
    let mut far = node("Conv", &["x", "k"], "c");
    far.attribute = vec![ints("pads", &[i64::MAX; 4])];
    assert!(with_head(vec![far], 1, vec![floats("k", &[1, 2, 1, 1], &[1.0; 2])]).is_err());
    // One weight that every one of many layers uses.
    let name = |at: usize| if at == 0 { "x".to_owned() } else { format!("v{at}") };
    let mut wide = Vec::new();
    for at in 0..5000 {
        let mut conv = node("Conv", &[&name(at), "k"], &name(at + 1));
        conv.attribute = vec![ints("dilations", &[100, 100]), ints("pads", &[100; 4])];
        wide.push(conv);
    }
    let error = with_head(wide, 32, vec![floats("k", &[2, 2, 3, 3], &[0.5; 36])]).unwrap_err().to_string();
    assert!(error.contains("MB beyond the file"), "{error}");
}

#[test]
fn other_files_are_read_in_the_models_own_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("model");
    std::fs::create_dir(&inner).unwrap();
    let weights: Vec<u8> = (0..96).flat_map(|at: u8| f32::from(at).to_le_bytes()).collect();
    std::fs::write(folder.path().join("outside.bin"), &weights).unwrap();
    std::fs::write(inner.join("w.bin"), &weights).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("outside.bin"), inner.join("link.bin")).unwrap();
    let read = |location: &str, more: &[(&str, &str)]| {
        let entry = |(key, value): (&str, &str)| Entry { key: key.to_owned(), value: value.to_owned() };
        let mut entries = vec![entry(("location", location))];
        entries.extend(more.iter().map(|&pair| entry(pair)));
        let tensor = Tensor {
            dims: vec![32, 3],
            data_type: 1,
            name: "w".to_owned(),
            external_data: entries,
            data_location: 1,
            ..Tensor::default()
        };
        let nodes = vec![node("Flatten", &["x"], "flat"), node("MatMul", &["flat", "w"], "y")];
        let bytes = proto(nodes, vec![tensor]).encode_to_vec();
        Model::parse(bytes, "net.onnx", Some(&inner))?.network(None, None)
    };
    let found = read("w.bin", &[]).unwrap();
    assert_eq!(found.parameters.trained[0].values[..2], [0.0, 3.0]);
    let absolute = folder.path().join("outside.bin").display().to_string();
    for outside in ["../outside.bin", absolute.as_str(), "", "sub/../../outside.bin", "./../outside.bin"] {
        let message = read(outside, &[]).unwrap_err().to_string();
        assert!(message.contains("only files in the model's own folder"), "{outside}: {message}");
    }
    #[cfg(unix)]
    assert!(read("link.bin", &[]).unwrap_err().to_string().contains("own folder"));
    for more in
        [("length", "99999999999"), ("offset", "380"), ("length", "-1"), ("offset", "99999999999999999999")]
    {
        assert!(read("w.bin", &[more]).is_err(), "{more:?}");
    }
    assert!(read("absent.bin", &[]).is_err());
}

#[test]
fn files_of_other_kinds_and_times_are_refused() {
    for bytes in [&b""[..], b"not a model", &[0xFF; 64]] {
        assert!(Model::parse(bytes.to_vec(), "net.onnx", None).is_err());
    }
    let mut old = proto(Vec::new(), Vec::new());
    old.opset_import[0].version = 8;
    assert!(parse(&old).unwrap_err().to_string().contains("operator set 8; allowed: 9 and later"));
    let mut two = proto(Vec::new(), Vec::new());
    if let Some(graph) = &mut two.graph {
        graph.input.push(value("z", &[1, 2, 4, 4]));
    }
    assert!(parse(&two).unwrap().network(None, None).unwrap_err().to_string().contains("2 inputs"));
    let mut rows = proto(Vec::new(), Vec::new());
    if let Some(graph) = &mut rows.graph {
        graph.input = vec![value("x", &[1, 784])];
    }
    assert!(parse(&rows).unwrap().image_shape().unwrap_err().to_string().contains("no [n, c, h, w]"));
    let mut open = proto(vec![node("Relu", &["x"], "y")], Vec::new());
    if let Some(graph) = &mut open.graph {
        graph.input = vec![value("x", &[0, 2, 0, 0])];
    }
    let open = parse(&open).unwrap();
    assert_eq!(open.image_shape().unwrap(), [Some(2), None, None]);
    assert!(open.network(None, None).unwrap_err().to_string().contains("leaves the shape of images open"));
}

#[test]
fn pads_are_taken_along_by_convolutions_only() {
    let mut pad = node("Pad", &["x"], "p");
    pad.attribute = vec![ints("pads", &[0, 0, 1, 0, 0, 0, 1, 2])];
    let mut conv = node("Conv", &["p", "k"], "c");
    conv.attribute = vec![ints("pads", &[0, 1, 0, 0])];
    let kernel = floats("k", &[1, 2, 3, 4], &[1.0; 24]);
    let found = with_head(vec![pad.clone(), conv], 16, vec![kernel]).unwrap();
    assert_eq!(found.graph.shape(robin_nn::graph::Point::of(0)), [1, 4, 4]);
    let error = with_head(vec![pad, node("Relu", &["p"], "r")], 1, Vec::new()).unwrap_err().to_string();
    assert!(error.contains("only Conv can take a Pad along"), "{error}");
}

#[test]
fn shapes_that_exporters_compute_are_known() {
    let numbers = |name: &str, values: &[i64]| Tensor {
        dims: vec![values.len() as i64],
        data_type: 7,
        int64_data: values.to_vec(),
        name: name.to_owned(),
        ..Tensor::default()
    };
    let mut pick = node("Gather", &["shape", "zero"], "n");
    pick.attribute = vec![int("axis", 0)];
    let mut join = node("Concat", &["n1", "minus"], "to");
    join.attribute = vec![int("axis", 0)];
    let nodes = vec![
        node("Shape", &["x"], "shape"),
        pick,
        node("Unsqueeze", &["n", "zero"], "n1"),
        join,
        node("Reshape", &["x", "to"], "flat"),
        node("MatMul", &["flat", "w"], "m"),
        node("Add", &["b", "m"], "a"),
        node("Mul", &["a", "s"], "y"),
    ];
    let weights = floats("w", &[32, 3], &[0.5; 96]);
    let (bias, scale) = (floats("b", &[3], &[1.0, 2.0, 3.0]), floats("s", &[], &[100.0]));
    let initializers = vec![weights, bias, scale, numbers("zero", &[0]), numbers("minus", &[-1])];
    let found = network(nodes, initializers).unwrap();
    assert_eq!(found.parameters.trained[0].values, [50.0; 96]);
    assert_eq!(found.parameters.trained[1].values, [100.0, 200.0, 300.0]);
    assert!(!found.normalizes);
}
