//! A graph as steps: a product takes along the batch norm, sum and rectifier after it where nobody else reads what lies
//! between; flattening is no step where only fully connected layers follow, whose weights are laid out accordingly.

use std::collections::BTreeMap;

use robin_kernels::{conv2d, max_pool2d};
use robin_nn::Graph;
use robin_nn::graph::{Layer, Point};

use crate::kernels::PACK;
use crate::kernels::layers::Shape;

/// A value by its number. 0 is what the network reads: the images, normalised where the graph begins so.
pub(super) type ValueId = usize;

/// The number of the value that the network reads.
pub(super) const INPUT: ValueId = 0;

/// The steps of a graph, without parameters.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) graph: Graph,
    /// Name of the normalisation that is applied while images are read.
    pub(super) normalize: Option<String>,
    /// How each value lies.
    pub(super) shapes: Vec<Shape>,
    /// Each after those that make what it reads.
    pub(super) steps: Vec<Step>,
    /// The scores.
    pub(super) output: ValueId,
    /// The last step that reads each value, on the way forward.
    pub(super) last_reader: Vec<usize>,
}

/// One step: an operation, then a sum, then a rectifier.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) operation: Operation,
    pub(super) input: ValueId,
    pub(super) output: ValueId,
    /// Another summand.
    pub(super) add: Option<ValueId>,
    pub(super) relu: bool,
}

/// What a step computes.
#[derive(Debug, PartialEq)]
pub(super) enum Operation {
    /// A convolution, or a fully connected layer.
    Product {
        name: String,
        /// Channels filled up to packs.
        geometry: conv2d::Geometry,
        bias: bool,
        /// Name of a batch norm that follows.
        norm: Option<String>,
    },
    BatchNorm {
        name: String,
    },
    /// Normalisation by fixed numbers somewhere else than at the images.
    Normalize {
        name: String,
    },
    MaxPool(max_pool2d::Geometry),
    AvgPool {
        window: usize,
    },
    Flatten,
    /// Nothing: there is a sum or a rectifier only.
    Copy,
}

/// Whether [`Plan::new`] takes this layer.
pub(super) fn takes(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Normalize { .. }
            | Layer::Conv2d { .. }
            | Layer::BatchNorm2d { .. }
            | Layer::Linear { .. }
            | Layer::Relu
            | Layer::MaxPool2d(_)
            | Layer::AvgPool2d(_)
            | Layer::Add
            | Layer::Flatten(_)
    )
}

impl Plan {
    pub(super) fn new(graph: &Graph) -> Self {
        let [channels, height, width] = graph.input_shape();
        let mut readers: BTreeMap<Point, Vec<usize>> = BTreeMap::new();
        for (node, reads) in graph.nodes().iter().enumerate() {
            reads.inputs.iter().for_each(|&point| readers.entry(point).or_default().push(node));
        }
        let mut lowering = Lowering {
            graph,
            readers,
            values: BTreeMap::from([(Point::IMAGES, INPUT)]),
            absorbed: vec![false; graph.nodes().len()],
            normalize: None,
            shapes: vec![Shape { height, width, channels }],
            steps: Vec::new(),
        };
        for node in 0..graph.nodes().len() {
            if !lowering.absorbed[node] {
                lowering.lower(node);
            }
        }
        let Lowering { values, normalize, shapes, steps, .. } = lowering;
        let output = values[&graph.output()];
        let mut last_reader = vec![0; shapes.len()];
        for (at, step) in steps.iter().enumerate() {
            [Some(step.input), step.add].into_iter().flatten().for_each(|value| last_reader[value] = at);
        }
        last_reader[output] = steps.len();
        Self { graph: graph.clone(), normalize, shapes, steps, output, last_reader }
    }
}

struct Lowering<'a> {
    graph: &'a Graph,
    readers: BTreeMap<Point, Vec<usize>>,
    values: BTreeMap<Point, ValueId>,
    /// Nodes that an earlier step took along.
    absorbed: Vec<bool>,
    normalize: Option<String>,
    shapes: Vec<Shape>,
    steps: Vec<Step>,
}

impl Lowering<'_> {
    fn lower(&mut self, node: usize) {
        let from = self.graph.nodes()[node].inputs[0];
        let (input, point) = (self.values[&from], Point::of(node));
        let before = self.shapes[input];
        let flat = |channels| Shape { height: 1, width: 1, channels };
        let image = |[height, width]: [usize; 2], channels| Shape { height, width, channels };
        match &self.graph.nodes()[node].layer {
            Layer::Normalize { name, .. } if from == Point::IMAGES && self.readers[&from].len() == 1 => {
                self.normalize = Some(name.clone());
                self.values.insert(point, INPUT);
            }
            Layer::Flatten(_) if self.only_linear_layers_read(point) => {
                self.values.insert(point, input);
            }
            Layer::Flatten(_) => {
                self.push(point, Operation::Flatten, input, flat(before.channels * before.pixels()));
            }
            Layer::Normalize { name, .. } => {
                self.push(point, Operation::Normalize { name: name.clone() }, input, before);
            }
            Layer::BatchNorm2d { name, .. } => {
                self.push(point, Operation::BatchNorm { name: name.clone() }, input, before);
            }
            Layer::Relu | Layer::Add => self.push(point, Operation::Copy, input, before),
            Layer::MaxPool2d(g) => {
                let after = image(g.output(), before.channels);
                self.push(point, Operation::MaxPool(*g), input, after);
            }
            Layer::AvgPool2d(g) => {
                let after = image(g.output(), before.channels);
                self.push(point, Operation::AvgPool { window: g.window }, input, after);
            }
            Layer::Linear { name, geometry } => {
                let after = flat(geometry.outputs);
                let geometry = conv2d::Geometry {
                    input: [1, 1],
                    in_channels: before.len(),
                    out_channels: after.packed(),
                    kernel: 1,
                    stride: 1,
                    padding: 0,
                };
                let operation = Operation::Product { name: name.clone(), geometry, bias: true, norm: None };
                self.push(point, operation, input, after);
            }
            Layer::Conv2d { name, geometry: g, bias } => {
                let after = image(g.output(), g.out_channels);
                let geometry = conv2d::Geometry {
                    in_channels: g.in_channels.next_multiple_of(PACK),
                    out_channels: g.out_channels.next_multiple_of(PACK),
                    ..*g
                };
                let (name, bias) = (name.clone(), *bias);
                self.push(point, Operation::Product { name, geometry, bias, norm: None }, input, after);
            }
            other => unreachable!("{} has no kernels, and was refused", other.name()),
        }
    }

    /// Adds a step that makes `point`, and whatever it can take along.
    fn push(&mut self, mut point: Point, operation: Operation, input: ValueId, shape: Shape) {
        let mut step = Step { operation, input, output: self.shapes.len(), add: None, relu: false };
        match point.node().map(|node| &self.graph.nodes()[node]) {
            Some(node) if node.layer == Layer::Add => step.add = Some(self.values[&node.inputs[1]]),
            Some(node) if node.layer == Layer::Relu => step.relu = true,
            _ => {}
        }
        while let Some(next) = self.only_reader(point) {
            let node = &self.graph.nodes()[next];
            let taken = match &node.layer {
                Layer::BatchNorm2d { name, .. } => step.take_norm(name),
                Layer::Add => {
                    let other = node.inputs.iter().find(|other| **other != point);
                    step.take_add(other.and_then(|other| self.values.get(other)))
                }
                Layer::Relu => step.take_relu(),
                _ => false,
            };
            if !taken {
                break;
            }
            self.absorbed[next] = true;
            point = Point::of(next);
        }
        self.values.insert(point, step.output);
        self.shapes.push(shape);
        self.steps.push(step);
    }

    fn only_linear_layers_read(&self, point: Point) -> bool {
        let mut readers = self.readers.get(&point).into_iter().flatten();
        readers.all(|&reader| matches!(self.graph.nodes()[reader].layer, Layer::Linear { .. }))
            && self.graph.output() != point
    }

    fn only_reader(&self, point: Point) -> Option<usize> {
        match self.readers.get(&point).map(Vec::as_slice) {
            Some(&[reader]) if self.graph.output() != point => Some(reader),
            _ => None,
        }
    }
}

impl Step {
    fn take_norm(&mut self, name: &str) -> bool {
        match &mut self.operation {
            Operation::Product { norm: norm @ None, .. } if self.add.is_none() && !self.relu => {
                *norm = Some(name.to_owned());
                true
            }
            _ => false,
        }
    }

    fn take_add(&mut self, other: Option<&ValueId>) -> bool {
        let adds = matches!(self.operation, Operation::Product { .. } | Operation::BatchNorm { .. });
        let free = adds && self.add.is_none() && !self.relu && other.is_some();
        if free {
            self.add = other.copied();
        }
        free
    }

    fn take_relu(&mut self) -> bool {
        let rectifies = matches!(
            self.operation,
            Operation::Product { .. }
                | Operation::BatchNorm { .. }
                | Operation::Normalize { .. }
                | Operation::Copy
        );
        let free = rectifies && !self.relu;
        self.relu |= free;
        free
    }
}
