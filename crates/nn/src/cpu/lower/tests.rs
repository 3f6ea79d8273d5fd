//! Which layers become one step, and how values lie.

use super::*;
use crate::{Bias, Convolution, GraphBuilder};

fn conv(channels: usize, kernel: usize, stride: usize) -> Convolution {
    Convolution { channels, kernel, stride, padding: kernel / 2, bias: Bias::None }
}

fn begin() -> GraphBuilder {
    Graph::builder("toy", [3, 8, 8]).normalize("normalize").conv2d("stem", conv(4, 3, 1))
}

fn program(graph: GraphBuilder) -> Program {
    Program::new(&graph.flatten().linear("fc", 10).build().unwrap())
}

/// Each step in words: its operation with what it took along, what it reads, `+` what it adds, and `relu`.
fn steps(program: &Program) -> Vec<String> {
    let words = |step: &Step| {
        let operation = match &step.operation {
            Operation::Conv2d { name, norm, pooled, .. } => {
                let norm = norm.as_ref().map_or(String::new(), |norm| format!(" {norm}"));
                format!("{name}{norm}{}", if *pooled { " pooled" } else { "" })
            }
            Operation::BatchNorm2d { name }
            | Operation::Normalize { name }
            | Operation::Linear { name, .. } => name.clone(),
            Operation::MaxPool2d(_) => "max".to_owned(),
            Operation::AvgPool2d(_) => "avg".to_owned(),
            Operation::Round(_) => "round".to_owned(),
            Operation::Flatten { .. } => "flatten".to_owned(),
            Operation::Copy => "copy".to_owned(),
        };
        let add = step.add.map_or(String::new(), |add| format!(" + {add}"));
        format!("{operation}({}){add}{}", step.input, if step.relu { " relu" } else { "" })
    };
    program.steps.iter().map(words).collect()
}

#[test]
fn a_residual_block_is_two_steps_and_its_projection_one() {
    let graph = begin().batch_norm2d("bn").relu();
    let x = graph.here();
    let graph = graph.conv2d("a", conv(4, 3, 1)).batch_norm2d("bn_a").relu();
    let graph = graph.conv2d("b", conv(4, 3, 1)).batch_norm2d("bn_b").add(x).relu();
    let expected = ["stem bn(0) relu", "a bn_a(1) relu", "b bn_b(2) + 1 relu", "fc(3)"];
    assert_eq!(steps(&program(graph)), expected);

    let graph = begin().batch_norm2d("bn").relu();
    let x = graph.here();
    let graph = graph.conv2d("a", conv(8, 3, 2)).batch_norm2d("bn_a").relu();
    let graph = graph.conv2d("b", conv(8, 3, 1)).batch_norm2d("bn_b");
    let b = graph.here();
    let graph = graph.at(x).conv2d("shortcut", conv(8, 1, 2)).batch_norm2d("bn_s").add(b).relu();
    let expected = ["stem bn(0) relu", "a bn_a(1) relu", "b bn_b(2)", "shortcut bn_s(1) + 3 relu", "fc(4)"];
    assert_eq!(steps(&program(graph)), expected);
}

#[test]
fn before_activation_a_norm_takes_the_rectifier_and_a_convolution_the_sum() {
    let graph = begin();
    let x = graph.here();
    let graph = graph.batch_norm2d("bn_a").relu().conv2d("a", conv(4, 3, 1));
    let graph = graph.batch_norm2d("bn_b").relu().conv2d("b", conv(4, 3, 1)).add(x);
    let graph = graph.batch_norm2d("bn_c").relu();
    let expected = ["stem(0)", "bn_a(1) relu", "a bn_b(2) relu", "b(3) + 1", "bn_c(4) relu", "fc(5)"];
    assert_eq!(steps(&program(graph)), expected);
}

#[test]
fn a_convolution_takes_rectifier_and_pooling_along() {
    let whole = program(begin().relu().max_pool2d(2).conv2d("a", conv(20, 5, 1)).relu().max_pool2d(2));
    assert_eq!(steps(&whole), ["stem pooled(0) relu", "a pooled(1) relu", "fc(2)"]);
    assert_eq!((whole.normalize.as_deref(), whole.output), (Some("normalize"), 3));
    let whole = program(begin().relu().conv2d("a", conv(20, 5, 1)).relu().max_pool2d(2));
    assert_eq!(steps(&whole), ["stem(0) relu", "a pooled(1) relu", "fc(2)"]);
    assert_eq!(whole.rectified_by(1), Some(0), "masks of every value");
    assert_eq!(whole.rectified_by(2), None, "windows instead");

    // Without a rectifier, larger windows, a stride.
    for graph in [
        begin().conv2d("a", conv(4, 3, 1)).max_pool2d(2),
        begin().conv2d("a", conv(4, 3, 1)).relu().max_pool2d(3),
        begin().conv2d("a", conv(4, 3, 2)).relu().max_pool2d(2),
    ] {
        assert!(steps(&program(graph)).contains(&"max(2)".to_owned()));
    }
}

#[test]
fn what_is_read_twice_is_a_value_of_its_own() {
    let graph = begin();
    let x = graph.here();
    let graph = graph.batch_norm2d("bn").add(x).relu();
    assert_eq!(steps(&program(graph)), ["stem(0)", "bn(1) + 1 relu", "fc(2)"]);

    let graph = begin().conv2d("a", conv(4, 3, 1)).relu();
    let x = graph.here();
    let graph = graph.max_pool2d(2);
    let pooled = graph.here();
    let graph = graph.at(x).max_pool2d(2).add(pooled);
    assert_eq!(steps(&program(graph)), ["stem(0)", "a(1) relu", "max(2)", "max(2)", "copy(4) + 3", "fc(5)"]);

    let graph = begin();
    let x = graph.here();
    assert_eq!(steps(&program(graph.add(x))), ["stem(0)", "copy(1) + 1", "fc(2)"]);
}

#[test]
fn a_sum_waits_for_both_summands() {
    let graph = begin().relu();
    let x = graph.here();
    // The convolution whose output comes first in the sum is made before the other.
    let graph = graph.conv2d("a", conv(4, 3, 1));
    let a = graph.here();
    let b = graph.at(x).conv2d("b", conv(4, 3, 1));
    let there = b.here();
    let expected = ["stem(0) relu", "a(1)", "b(1) + 2", "fc(3)"];
    assert_eq!(steps(&program(b.at(a).add(there))), expected);
}

#[test]
fn linear_layers_read_images_where_they_lie_and_others_rows() {
    let read = program(begin().relu());
    assert_eq!(steps(&read), ["stem(0) relu", "fc(1)"]);

    let graph = begin().relu().flatten().relu().linear("fc", 10).build().unwrap();
    let rows = Program::new(&graph);
    assert_eq!(steps(&rows), ["stem(0) relu", "flatten(1) relu", "fc(2)"]);
    assert_eq!(rows.layouts[2], Layout { height: 1, width: 1, channels: 256, halo: 0 });
}

#[test]
fn images_lie_tight_for_convolutions_and_everything_else_in_whole_vectors() {
    let layout =
        |side: usize, channels: usize, halo: usize| Layout { height: side, width: side, channels, halo };
    let tight = program(begin().relu().conv2d("a", conv(20, 5, 1)));
    assert_eq!(tight.layouts, [layout(8, 3, 1), layout(8, 16, 2), layout(8, 32, 2), layout(1, 16, 0)]);

    let normed = program(Graph::builder("toy", [3, 8, 8]).batch_norm2d("bn").conv2d("a", conv(20, 3, 1)));
    assert_eq!(normed.layouts, [layout(8, 16, 1), layout(8, 16, 1), layout(8, 32, 1), layout(1, 16, 0)]);

    // An image of one pixel has a halo, a row as long has none.
    let pixel = program(begin().conv2d("a", Convolution { padding: 0, ..conv(4, 8, 1) }));
    assert_eq!(pixel.layouts[2..], [layout(1, 16, 7), layout(1, 16, 0)]);
}
